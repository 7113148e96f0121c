import { expect, test } from '@jest/globals'

import { replicaPairs, writeStatus } from '../../lib/protocol/index.ts'

const connection = (name: string, columns: Record<string, string>) => ({
  name,
  columns: new Map(Object.entries(columns)),
})

test('are the columns of the first connection by their names, of the others with theirs in front', () => {
  expect(replicaPairs([connection('', { Master_Host: 'a' }), connection('eu', { Master_Host: 'b' })])).toEqual([
    ['Master_Host', 'a'],
    ['eu:Master_Host', 'b'],
  ])
})

test('are none when it is no replica', () => {
  expect(replicaPairs([])).toEqual([])
})

test('carry line breaks as every value of an answer does', () => {
  expect(replicaPairs([connection('', { Last_Error: 'one\ntwo\tthree' })])).toEqual([
    ['Last_Error', 'one\\ntwo\\tthree'],
  ])
})

test('always fit a block, however much a replica has to say', () => {
  const wide = Object.fromEntries([...Array(60).keys()].map((n) => [`Column_${n}`, 'v'.repeat(900)]))
  const many = [...Array(8).keys()].map((n) =>
    connection(`source${n}`, { ...wide, Long: 'x'.repeat(8_192), status: 's', 'a=b': 'c' }),
  )

  const pairs = replicaPairs(many)

  expect(pairs.length).toBe(60)
  expect(() => writeStatus({ status: 'SENDING', msg: 'm'.repeat(3000), sid: 's'.repeat(500) }, pairs)).not.toThrow()
})
