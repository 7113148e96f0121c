/**
 * Tells two servers apart by the names that were found for them.
 *
 * A name that only one side has says nothing. Pure.
 */

import type { RecordedServer } from '../history/index.ts'

/** The server as it is now. */
export interface ServerIdentity extends RecordedServer {
  /** Where its redo log stands, as digits. Grows all the time, so it is no part of the name. */
  readonly lsn?: string | undefined
}

/** @returns what differs, for a message; undefined when nothing says that they are two */
export const serverDifference = (one: RecordedServer = {}, other: RecordedServer = {}): string | undefined => {
  if (differ(one.uuid, other.uuid)) return `the one calls itself ${one.uuid}, the other ${other.uuid}`
  if (differ(one.data, other.data)) return `the one had the data directory ${one.data}, the other has ${other.data}`
  return undefined
}

const differ = (one: string | undefined, other: string | undefined): boolean =>
  one !== undefined && other !== undefined && one !== other

/** @returns the part of it that is remembered; undefined when there is none */
export const recordedServer = ({ uuid, data }: ServerIdentity): RecordedServer | undefined =>
  uuid === undefined && data === undefined
    ? undefined
    : { ...(uuid === undefined ? {} : { uuid }), ...(data === undefined ? {} : { data }) }
