import { describe, expect, test } from '@jest/globals'

import { parseProgramVersion } from '../../lib/engines/program-version.ts'

describe('the version of a backup program', () => {
  test.each([
    [
      'mariadb-backup based on MariaDB server 10.11.19-MariaDB debian-linux-gnu (x86_64)',
      'mariadb-backup',
      '10.11.19',
      10,
    ],
    ['/usr/bin/mariadb-backup based on MariaDB server 10.4.1-MariaDB Linux (x86_64)\n', 'mariadb-backup', '10.4.1', 10],
    ['mariabackup based on MariaDB server 10.3.39-MariaDB debian-linux-gnu (x86_64)', 'mariadb-backup', '10.3.39', 10],
    ['mariadb-backup from 11.8.2-MariaDB, client 15.2 for debian-linux-gnu (x86_64)', 'mariadb-backup', '11.8.2', 11],
    [
      'xtrabackup version 8.0.35-31 based on MySQL server 8.0.35 Linux (x86_64) (revision id: 55ec21d7)',
      'xtrabackup',
      '8.0.35-31',
      8,
    ],
    [
      'xtrabackup: recognized server arguments: --datadir=/x\nxtrabackup version 8.4.0-1 based on MySQL server 8.4.0',
      'xtrabackup',
      '8.4.0-1',
      8,
    ],
    ['xtrabackup version 2.4.29 based on MySQL server 5.7.44 Linux', 'xtrabackup', '2.4.29', 2],
  ])('is found in: %s', (text, name, version, major) => {
    expect(parseProgramVersion(text)).toEqual({ name, version, major })
  })

  test.each([[''], ['usage: frobnicate'], ['mariadb-backup 10'], ['mysqldump  Ver 10.19 Distrib 10.11.19-MariaDB']])(
    'is not found in: %j',
    (text) => {
      expect(parseProgramVersion(text)).toBeUndefined()
    },
  )
})
