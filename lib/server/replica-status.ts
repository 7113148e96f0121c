/**
 * What a replica says about its connections to its sources, one row for each. Pure.
 *
 * The columns stay in the server's own words: clients store them. Whether it runs is
 * read from the two threads, whose columns older servers and MySQL call differently.
 */

import type { Row } from './connection.ts'
import type { ReplicaConnection } from './types.ts'

/** `Connecting` tries to, and needs no start. */
const THREADS = [
  ['Slave_IO_Running', 'Slave_SQL_Running'],
  ['Replica_IO_Running', 'Replica_SQL_Running'],
] as const

export const readReplicaConnection = (columns: Row): ReplicaConnection => {
  const threads = THREADS.find(([io]) => columns.has(io)) ?? THREADS[0]
  return {
    name: columns.get('Connection_name') ?? columns.get('Channel_Name') ?? '',
    columns,
    isRunning: threads.every((thread) => (columns.get(thread) ?? 'No').toLowerCase() !== 'no'),
  }
}
