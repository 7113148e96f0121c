/**
 * Serves an incremental backup: the closed binary logs of the server.
 *
 *     admitted ─┬▶ sent before for this sid                READY, OK, no stream
 *               ├▶ nothing closed from the wanted one on   READY, OK, no stream
 *               └▶ these files: `backup-session.ts`        READY, SENDING, stream
 *
 * A run asks once for each piece it wants; the first request gets all there is. What is
 * remembered of it decides for the later ones, so processes that share a history agree.
 * Everything is asked of the server before READY. Rules: PROTOCOL.md, "Binary logs".
 */

import { binaryLogsEngine } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { planBinaryLogs, type RememberedJob } from '../jobs/index.ts'
import type { Logger } from '../log/index.ts'
import { replicaPairs, writeReady, writeStatus } from '../protocol/index.ts'
import { serveBackup } from './backup-session.ts'
import type { StreamDecision } from './policy.ts'
import { finish } from './send.ts'
import { loginOf, type ServerWishes, wantedBinaryLog } from './server-wishes.ts'
import type { Connection, SessionContext } from './session.ts'

const ALREADY_SENT = 'nothing to send: the binary logs went with an earlier request of this sid'

/** @throws BackupError why there is no backup, before anything was said */
export const serveBinaryLogs = async (
  connection: Connection,
  decision: StreamDecision,
  wishes: ServerWishes,
  context: SessionContext,
  log: Logger,
): Promise<void> => {
  const { server, admission, memory, debts } = context
  if (server === undefined) throw new Error('bug: binary logs without a server')
  const { sid } = decision
  const from = wantedBinaryLog(wishes)
  const lease = admission.admit(sid)
  const nothing = async (msg: string): Promise<void> => {
    lease.release() // before the FIN: whoever sees it may ask again at once
    log.info({ sid }, msg)
    await finish(connection.socket, [writeReady(), writeStatus({ status: 'OK', msg, sid })])
  }
  try {
    // Another server's logs, whatever the run is called, are none of this one's.
    const isOfThisServer = ({ instance }: { readonly instance?: string | undefined }) => instance === context.name
    if (wasSent(await memory.newest(sid, isOfThisServer), decision)) return await nothing(ALREADY_SENT)
    const plan = await planBinaryLogs({
      login: loginOf(decision, server),
      from,
      directory: wishes.binlogPath,
      allowed: server.binlogDirectories,
      replication: wishes.replication,
      debts,
      log: log.child({ sid }),
    })
    connection.login?.wasRight()
    if (plan.kind === 'nothing') return await nothing(plan.msg)
    const { files, replica } = plan
    await serveBackup(connection, decision, context, log, {
      engine: binaryLogsEngine(files),
      what: 'an incremental backup',
      requested: { 'backup-level': 1, ...(from === undefined ? {} : { binlog: from }) },
      lease,
      sendingPairs: replicaPairs(replica),
    })
  } finally {
    lease.release()
  }
}

/** @throws BackupError `JOB_BUSY` while it is being sent, by this process or another */
const wasSent = (job: RememberedJob | undefined, { isFraming }: StreamDecision): boolean => {
  if (job?.engine !== 'binary-logs') return false
  if (job.state === 'running') {
    throw new BackupError('JOB_BUSY', 'busy: the binary logs of this sid are being sent', { job: job.job })
  }
  // One that failed is no backup, and a client of 0.77 that has not confirmed may not have it: who asks again gets it.
  return job.state === 'delivered' || (job.state === 'sent-unconfirmed' && !isFraming)
}
