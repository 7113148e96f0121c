/** Door of the room `cli`: the face to people. */

export { agentProgram } from './agent-program.ts'
export { clientProgram } from './client-program.ts'
export { exitWith } from './exit-with.ts'
export { runProgram } from './run-program.ts'
