import { expect, test } from '@jest/globals'

import { progressText } from '../../lib/cli/fetch-command.ts'
import type { FetchProgress } from '../../lib/client/index.ts'
import { SESSION } from '../client/scripted-agent.ts'

const PROGRESS: FetchProgress = {
  stage: 'receiving',
  sid: 'nightly',
  session: SESSION,
  msg: 'here it comes',
  bytes: 1.5 * 2 ** 30,
  bytesPerSecond: 80 * 2 ** 20,
  seconds: 185,
  backup: { bytes: 0, sent: 0, files: 3, stage: 'copying', percent: 47, eta: 130 },
}
const { percent: _, eta: __, ...unknown } = PROGRESS.backup ?? { bytes: 0, sent: 0, files: 0, stage: '' }

test.each<[string, Partial<FetchProgress>, string]>([
  ['nobody has answered', { stage: 'asking', session: undefined }, 'waiting for the agent  3 min 05 s'],
  ['the engine prepares', { stage: 'preparing' }, 'waiting for the first bytes of mariadb-backup  3 min 05 s'],
  ['it is known how much it will be', {}, '47 %  1.5 GiB  80.0 MiB/s  3 min 05 s, 2 min 10 s left'],
  ['it is not known yet', { backup: unknown }, '1.5 GiB  80.0 MiB/s  3 min 05 s'],
  ['the agent says nothing of it', { backup: undefined }, '1.5 GiB  80.0 MiB/s  3 min 05 s'],
])('the progress line when %s', (_, changes, line) => {
  expect(progressText({ ...PROGRESS, ...changes })).toBe(line)
})
