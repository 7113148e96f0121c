/** A job that is stopped while its engine starts, by an engine that does not look at its signal. */

import { expect, test } from '@jest/globals'

import type { Engine } from '../../lib/engines/index.ts'
import { runFiles } from '../../lib/engines/files-run.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { Admission, BackupJob, type BackupOrder, JobMemory } from '../../lib/jobs/index.ts'
import { silentLogger } from '../../lib/log/index.ts'

test('has not started, and says why it was stopped', async () => {
  const log = silentLogger()
  const plan = { root: '/nowhere', items: [], bytes: 0, check: async () => undefined }
  let job: BackupJob | undefined
  const engine: Engine = {
    identity: { name: 'directory', version: '1', program: undefined },
    needsLogin: false,
    start: async ({ signal }) => {
      job?.cancel(new BackupError('JOB_CANCELLED', 'at the last moment'))
      return runFiles(plan, signal)
    },
  }
  const order: Partial<BackupOrder> = {
    ...{ job: 'j', sid: 's', peer: 'p', requested: {}, engine, what: 'a full backup', product: 'a/1', format: 'tar' },
    memory: new JobMemory(undefined, log, Date.now),
    lease: new Admission().admit('s'),
    spool: { directory: '/var/tmp', maxBytes: 0 },
    spill: { memoryBytes: 1024 },
    ...{ memoryBytes: 1024, log, wallClockMs: 0, nowMs: () => 0, wait: async () => undefined },
    limits: {
      ...{ startMs: 1, lockWaitMs: 1, hangMs: 1, lockedHangMs: 1 },
      ...{ lockedStallMs: 1, lockedWaitMs: 1, stallMs: 1 },
    },
  }
  job = new BackupJob(order as BackupOrder)

  const started = job.start()

  await expect(started).rejects.toMatchObject({ code: 'JOB_CANCELLED' })
  await job.fail(await started.catch((error: unknown) => error))
  await job.close()
  expect(job.state).toBe('cancelled')
})
