/** Door of the room `server`: the only room that talks to the database server. */

export { closedLogs } from './closed-logs.ts'
export type { Grants } from './grants.ts'
export type { MissingGrants, Purpose } from './needed-grants.ts'
export { isCertainlyNoReplica } from './replica-files.ts'
export { checkDefaultsFile } from './read-login.ts'
export { connectServer, type ServerConnection, type TimeoutName } from './server-connection.ts'
export { type Statement, type StatementName, STATEMENTS } from './statements.ts'
export type { BinaryLog, ReplicaConnection, ServerFacts, ServerLogin, ServerOptions, ServerTimeouts } from './types.ts'
