import { expect, test } from '@jest/globals'

import { GrowthLimit } from '../../lib/client/growth-limit.ts'

const GIB = 1024 ** 3

test.each<[string, number | undefined, number, number, boolean]>([
  ['is small', undefined, 100, GIB, true],
  ['has grown four thousand times', undefined, GIB, 4000 * GIB, true],
  ['has grown far more than that', undefined, 1024, 5 * GIB, false],
  ['is what the receipt says', 5 * GIB, 1024, 5 * GIB, true],
  ['is a byte more than the receipt says', 1000, 100, 1001, false],
])('an archive that %s', (_, knownBytes, packedBytes, bytes, isAllowed) => {
  const limit = new GrowthLimit(knownBytes, 'do it by hand')
  limit.cameIn(packedBytes)

  const grow = (): void => limit.cameOut(bytes)

  if (isAllowed) expect(grow).not.toThrow()
  else expect(grow).toThrow(expect.objectContaining({ code: 'COMPRESS_LIMIT' }))
})
