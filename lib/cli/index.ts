/** Door of the room `cli`: the face to people. */

export { agentProgram } from './agent-program.ts'
export { clientProgram } from './client-program.ts'
export { runProgram } from './run-program.ts'
