import { expect, test } from '@jest/globals'

import { isTablespace } from '../../lib/archive/tablespace.ts'

test.each(['db/t.ibd', 'db/t#P#p0.ibd', 'mysql.ibd', 'ibdata1', 'ibdata12', 'undo001', 'undo_001', 'extra.ibu'])(
  'takes %s for a tablespace',
  (path) => {
    expect(isTablespace(path)).toBe(true)
  },
)

test.each([
  'ib_logfile0',
  'xtrabackup_logfile',
  'db/t.ibd.delta',
  'db/t.ibd.meta',
  'db/t.ibd.qp',
  'db/t.new',
  'ibdata1.delta',
  'undo001.delta',
  'db/ibdata1',
  'undo',
  'db/t.MYD',
  'aria_log.00000001',
])('does not take %s for one: it is never announced early and never padded', (path) => {
  expect(isTablespace(path)).toBe(false)
})
