/** Door of the room `agent`: the KV protocol's way to a backup. */

export { type RunningAgent, startAgent } from './start-agent.ts'
