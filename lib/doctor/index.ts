/** Door of the room `doctor`: would a backup of this host come through? */

export type { Address, Ping } from './agent-port.ts'
export { examine } from './examine.ts'
export { type Finding, failedWith, ok, type Result } from './finding.ts'
export type { Patient, Server } from './patient.ts'
