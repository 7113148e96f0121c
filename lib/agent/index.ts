/** Door of the room `agent`: the KV protocol's way to a backup. */

export { type InheritedDoor, openDoor } from './inherited-door.ts'
export { type RunningAgent, startAgent } from './start-agent.ts'
export { type InheritedAgent, refuseAll, startInherited } from './start-inherited.ts'
