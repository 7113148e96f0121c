/** Door of the room `flow`: bytes held back, counted, waited for. */

export { ByteMeter } from './byte-meter.ts'
export { withFirstChunk } from './first-chunk.ts'
export { HeldTail } from './held-tail.ts'
export { HoldBack, type WirePiece } from './hold-back.ts'
export { type NeverQuietOptions, neverQuiet } from './never-quiet.ts'
export { PairedOffsets } from './paired-offsets.ts'
export { PULSE, type Wait, withPulse } from './pulse.ts'
export { RedoWatch, type RedoRisk } from './redo-watch.ts'
export { SideDigest } from './side-digest.ts'
export { Spill, type SpillOptions, type SpillPlace, type SpillState } from './spill.ts'
export { type DecoupledOptions, decoupled } from './spill-decoupled.ts'
export { type FlowObservation, StallGuard, type StallLimits } from './stall-guard.ts'
