import { expect, test } from '@jest/globals'

import { laxDirectory, laxOwner, laxReaders, laxWriters, type Ourselves } from '../../lib/trust/index.ts'

/** User 110, in the groups 110 and 4. */
const US: Ourselves = { uid: 110, groups: [110, 4] }
const FILE = '/etc/kv/login.cnf'
const seen = (uid: number, gid: number, mode: number) => ({ uid, gid, mode: 0o100000 | mode })

test.each<[string, number, string | undefined]>([
  ['root', 0, undefined],
  ['us', 110, undefined],
  ['somebody else', 1000, 'it belongs to user 1000, expected root or 110'],
])('a file of %s', (_, uid, problem) => {
  expect(laxOwner(seen(uid, 0, 0o600), FILE, US)?.problem).toBe(problem)
})

test.each<[number, string | undefined]>([
  [0o644, undefined],
  [0o755, undefined],
  [0o664, 'its group may write to it (mode 0664)'],
  [0o602, 'everyone may write to it (mode 0602)'],
  [0o666, 'everyone may write to it (mode 0666)'],
])('a file of mode %o, for its writers', (mode, problem) => {
  expect(laxWriters(seen(0, 0, mode), FILE)).toEqual(
    problem === undefined ? undefined : { problem, command: `chmod go-w ${FILE}` },
  )
})

test.each<[string, number, number, number, string | undefined, string | undefined]>([
  ['root:mysql 0640, and we are mysql', 0, 110, 0o640, undefined, undefined],
  ['root:root 0640', 0, 0, 0o640, undefined, undefined],
  ['ours alone', 110, 110, 0o600, undefined, undefined],
  ['ours, for another group that we are in', 110, 4, 0o640, undefined, undefined],
  [
    'ours, for a group that we are not in',
    110,
    50,
    0o640,
    'group 50 may read it, in which we are not (mode 0640)',
    'chmod 0600',
  ],
  ['root:root 0644', 0, 0, 0o644, 'everyone may read it (mode 0644)', `chgrp 110 ${FILE} && chmod 0640`],
  ['ours 0604', 110, 110, 0o604, 'everyone may read it (mode 0604)', 'chmod 0600'],
])('a secret that is %s', (_, uid, gid, mode, problem, command) => {
  const lax = laxReaders(seen(uid, gid, mode), FILE, US)

  expect(lax).toEqual(problem === undefined ? undefined : { problem, command: `${command} ${FILE}` })
})

test.each<[string, number, number, number, string | undefined]>([
  ['/tmp', 0, 0, 0o1777, undefined],
  ['ours alone', 110, 110, 0o700, undefined],
  ['ours, for our group', 110, 110, 0o770, undefined],
  ['for a foreign group', 0, 50, 0o775, 'group 50 may replace what is in it (mode 0775)'],
  ['for everyone, not sticky', 0, 0, 0o777, 'everyone may replace what is in it (mode 0777)'],
  ['of somebody else, sticky or not', 1000, 1000, 0o1777, 'it belongs to user 1000, expected root or 110'],
])('a directory that is %s', (_, uid, gid, mode, problem) => {
  expect(laxDirectory(seen(uid, gid, mode), '/srv/spool', US)?.problem).toBe(problem)
})
