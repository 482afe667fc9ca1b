// Types that several modules share.

@export()
@description('Tags of a resource, by name.')
type Tags = {
  @description('The value of a tag.')
  *: string
}
