/** How @hey-api/openapi-ts writes the client: with the file names that Node.js needs in imports. */
export default {
  input: "./build/openapi.json", // without the dot it would be the name of a project on a server,
  output: { path: "./build/hey_api", module: { extension: ".js" } },
};
