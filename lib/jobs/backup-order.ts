/** What a backup is ordered with, what is shown of it while it runs, and what a complete one is. */

import type { PaddedMember, SpoolSettings } from '../archive/index.ts'
import type { Engine, EngineOutcome, FoundCompressor } from '../engines/index.ts'
import type { SpillPlace, Wait } from '../flow/index.ts'
import type { RecordedCaller, RecordedServer, Requested } from '../history/index.ts'
import type { Logger } from '../log/index.ts'
import type { Lease } from './admission.ts'
import type { IncrementRange } from './increment-verdict.ts'
import type { IncrementalBase } from './incremental-base.ts'
import type { JobMemory } from './job-memory.ts'
import type { JobState } from './job-state.ts'
import type { ArchiveFormat } from './pipeline.ts'
import type { ServerSide } from './server-side.ts'
import type { WatchLimits } from './watchdogs.ts'

export interface BackupOrder {
  /** Random, unlike `sid`, which a client may choose and choose again. */
  readonly job: string
  readonly sid: string
  /** Who asked: `192.0.2.7:51234`. */
  readonly peer: string
  /** By which right, where there are roles. */
  readonly caller?: RecordedCaller | undefined
  /** What was asked for, as the history remembers it. Never a secret. */
  readonly requested: Requested
  readonly engine: Engine
  /** What it is called in messages: `a full backup`. */
  readonly what?: string
  /** What is done at the server beside the engine's work. */
  readonly serverSide?: ServerSide | undefined
  /** Which of the agent's servers it is; left out for the one that has no name. */
  readonly instance?: string | undefined
  /** More options for the backup program: the operator's own words. */
  readonly extraArgs?: readonly string[] | undefined
  readonly lease: Lease
  readonly memory: JobMemory
  /** Name of the product, as the archive's mark carries it. */
  readonly product: string
  readonly format: ArchiveFormat
  /** What the archive is compressed with on its way out; it was found already. */
  readonly compressor?: FoundCompressor | undefined
  /** As `EngineSettings.runtimeDirectory`. */
  readonly runtimeDirectory: string
  readonly user?: string | undefined
  readonly password?: string | undefined
  /** What it is based on; left out for a full backup. */
  readonly base?: IncrementalBase | undefined
  /** Which server it is of, as far as that is known. */
  readonly server?: RecordedServer | undefined
  readonly memoryBytes: number
  readonly spool: SpoolSettings
  readonly spill: { readonly memoryBytes: number; readonly disk?: SpillPlace }
  readonly limits: WatchLimits
  /**
   * Bytes that the other side has not acknowledged, as far as the system knows: while that number changes, bytes
   * leave. A slow receiver makes no whole piece leave for a long time.
   */
  readonly unacknowledgedBytes?: () => Promise<number>
  readonly log: Logger
  /** A monotonic clock, milliseconds. */
  readonly nowMs: () => number
  readonly wait: Wait
  /** Wall clock at the start, milliseconds since the epoch: the label on members without a time of their own. */
  readonly wallClockMs: number
}

/** What a person may be shown while the job runs. */
export interface JobProgress {
  readonly state: JobState
  /** The engine's own word; `sending` when it is done and bytes are still to leave. */
  readonly stage: string
  readonly members: number
  /** Bytes of the archive so far. */
  readonly archiveBytes: number
  /** Bytes of the archive that have left. */
  readonly sentBytes: number
  /** Disk that the spill uses now. */
  readonly spilledBytes: number
  /** 0 to 100; absent while nobody knows how much it will be. */
  readonly percent?: number
  readonly etaSeconds?: number
  readonly seconds: number
}

/** What a complete backup is. */
export interface BackupResult {
  /** Bytes of the archive. */
  readonly bytes: number
  /** Of the archive as it was made, before any compression; 64 hexadecimal digits. */
  readonly sha256: string
  readonly members: number
  readonly padded: readonly PaddedMember[]
  readonly coordinates: EngineOutcome['coordinates']
  readonly lsn: EngineOutcome['lsn']
  readonly exitCode: number
  /** Absent for a full backup. */
  readonly increment?: IncrementRange | undefined
}
