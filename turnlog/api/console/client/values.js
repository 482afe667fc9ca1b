/** What the service's JSON answers hold. Fields that this client does not name are there all the same. */
export {};
