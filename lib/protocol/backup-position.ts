/**
 * Where a backup stands, as the end of a stream and a verdict say it.
 *
 *     binlog-file=bin.000007      lsn-from=44404
 *     binlog-position=2858        lsn-to=1568263
 *     gtid=0-1-16                 lsn-checkpoint=44404
 *
 * It comes from the words of a backup program, at the end of hours of work: what is
 * not known, or has no form that a reader would take, is left out and never an error.
 * It stands in the archive all the same. Pure.
 */

import { isCount, isLsn, optionalCount, optionalLsn, pairsOf, present } from './block-fields.ts'
import type { KvBlock } from './kv-block-parser.ts'
import { escapeControls } from './wire-text.ts'

/** Where the server's binary log stood at the instant the backup shows. */
export interface BinlogPosition {
  readonly binlogFile?: string | undefined
  readonly binlogPosition?: number | undefined
  readonly gtid?: string | undefined
}

/** Log sequence numbers as digits: they pass 2^53. */
export interface RedoPosition {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly checkpoint?: string | undefined
}

export interface BackupPosition {
  readonly coordinates: BinlogPosition
  readonly lsn: RedoPosition
}

/** A set of GTIDs may outgrow a line. A part of it would be a lie, so it is all or nothing. */
const MAX_TEXT_BYTES = 4_096

export const positionPairs = ({ coordinates, lsn }: BackupPosition): [string, string][] =>
  pairsOf({
    'binlog-file': plain(coordinates.binlogFile),
    'binlog-position': coordinates.binlogPosition === undefined ? undefined : counted(coordinates.binlogPosition),
    gtid: plain(coordinates.gtid),
    'lsn-from': digits(lsn.from),
    'lsn-to': digits(lsn.to),
    'lsn-checkpoint': digits(lsn.checkpoint),
  })

/** @throws BackupError `PROTOCOL_VALUE_INVALID` */
export const readPosition = (block: KvBlock): BackupPosition => ({
  coordinates: present({
    binlogFile: block.get('binlog-file'),
    binlogPosition: optionalCount(block, 'binlog-position'),
    gtid: block.get('gtid'),
  }),
  lsn: present({
    from: optionalLsn(block, 'lsn-from'),
    to: optionalLsn(block, 'lsn-to'),
    checkpoint: optionalLsn(block, 'lsn-checkpoint'),
  }),
})

/** A name with a control character in it would arrive as another name. */
const plain = (text: string | undefined): string | undefined =>
  text !== undefined && text === escapeControls(text) && Buffer.byteLength(text) <= MAX_TEXT_BYTES ? text : undefined

const counted = (number: number): number | undefined => (isCount(String(number)) ? number : undefined)

const digits = (text: string | undefined): string | undefined => (text !== undefined && isLsn(text) ? text : undefined)
