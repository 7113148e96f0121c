import { expect, test } from '@jest/globals'

import { runFiles } from '../../lib/engines/files-run.ts'
import { BackupError } from '../../lib/errors/index.ts'

const plan = { root: '/nowhere', items: [], bytes: 0, check: async () => undefined }
const reason = new BackupError('JOB_CANCELLED', 'somebody wanted it so')

test('a reading that was given up before it began is over, though nobody asks for its entries', async () => {
  const { settled } = runFiles(plan, AbortSignal.abort(reason))

  expect(await settled).toMatchObject({ failure: { code: 'JOB_CANCELLED' } })
})

test('and so is one that is given up before anybody asks', async () => {
  const stop = new AbortController()
  const { settled } = runFiles(plan, stop.signal)

  stop.abort(reason)

  expect(await settled).toMatchObject({ failure: { code: 'JOB_CANCELLED' } })
})
