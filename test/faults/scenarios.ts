/** Every scenario, in the order in which they start; see `beside` in scenario.ts. */

import { brokenConnections } from './broken-connections.ts'
import { cutCompressed } from './cut-compressed.ts'
import { cutForOtherTars, cutStreams } from './cut-streams.ts'
import { cutEngineOutput, failingEngines } from './failing-engines.ts'
import { fewResources } from './few-resources.ts'
import { flippedBits } from './flipped-bits.ts'
import { fullDisks } from './full-disks.ts'
import { blackHole, cutNetwork, hungPrograms } from './hung-programs.ts'
import { killedProcesses } from './killed-processes.ts'
import { lostState } from './lost-state.ts'
import { neighbours } from './neighbours.ts'
import { redoOverrun } from './redo-overrun.ts'
import type { Scenario } from './scenario.ts'
import { secrets } from './secrets.ts'
import { serverFaults } from './server-faults.ts'
import { slowReader } from './slow-reader.ts'
import { strangers } from './strangers.ts'
import { toldToStop } from './told-to-stop.ts'

export const SCENARIOS: readonly Scenario[] = [
  cutStreams,
  cutForOtherTars,
  cutCompressed,
  flippedBits,
  redoOverrun,
  brokenConnections,
  failingEngines,
  cutEngineOutput,
  killedProcesses,
  serverFaults,
  toldToStop,
  neighbours,
  strangers,
  secrets,
  fullDisks,
  lostState,
  fewResources,
  slowReader,
  hungPrograms,
  cutNetwork,
  blackHole,
]
