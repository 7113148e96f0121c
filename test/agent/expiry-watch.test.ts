import { expect, test } from '@jest/globals'

import { watchExpiry } from '../../lib/agent/expiry-watch.ts'
import type { Logger } from '../../lib/log/index.ts'

const DAY_MS = 86_400_000

test('what there is to say of certificates is said at once, and every day', async () => {
  const controller = new AbortController()
  const said: string[] = []
  let nowMs = 0

  await watchExpiry({
    warnings: (now) => (now < 2 * DAY_MS ? [] : [`day ${now / DAY_MS}`]),
    nowMs: () => nowMs,
    wait: async (milliseconds) => {
      nowMs += milliseconds
      if (nowMs >= 5 * DAY_MS) controller.abort()
    },
    signal: controller.signal,
    log: { warn: (text: string) => said.push(text) } as unknown as Logger,
  })

  expect(said).toEqual(['day 2', 'day 3', 'day 4'])
})
