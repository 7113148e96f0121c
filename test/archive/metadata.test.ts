import { describe, expect, test } from '@jest/globals'

import { firstMissing, metadataRole, parseBinlogInfo, parseCheckpoints, parseInfo } from '../../lib/archive/metadata.ts'
import type { MetadataFound } from '../../lib/archive/types.ts'

const FOUND: MetadataFound = {
  checkpoints: 'xtrabackup_checkpoints',
  info: 'xtrabackup_info',
  configuration: 'backup-my.cnf',
  redoLog: 'ib_logfile0',
}

/** Printed by mariadb-backup 10.11.19, `--backup` of a server with its binary log on; some lines left out. */
const MARIADB_INFO = `uuid = 6987eaf1-e579-11f1-ba2a-02fc00000001
name = 
tool_name = mariadb-backup
tool_version = 10.11.19-MariaDB
ibbackup_version = 10.11.19-MariaDB
server_version = 10.11.19-MariaDB-0+deb12u1-log
lock_time = 0
binlog_pos = filename 'mybin.000002', position '542', GTID of the last change '0-1-7'
innodb_from_lsn = 0
innodb_to_lsn = 44420
`

describe('names', () => {
  test.each([
    ['xtrabackup_checkpoints', 'checkpoints'],
    ['mariadb_backup_checkpoints', 'checkpoints'],
    ['xtrabackup_info', 'info'],
    ['mariadb_backup_info', 'info'],
    ['xtrabackup_binlog_info', 'binlogInfo'],
    ['mariadb_backup_binlog_info', 'binlogInfo'],
    ['mariadb_backup_slave_info', 'slaveInfo'],
    ['xtrabackup_galera_info', 'galeraInfo'],
    ['backup-my.cnf', 'configuration'],
    ['ib_logfile0', 'redoLog'],
    ['xtrabackup_logfile', 'redoLog'],
    ['ib_logfile1', undefined],
    ['shop/xtrabackup_info', undefined],
  ])('%s is for %s', (path, role) => {
    expect(metadataRole(path)).toBe(role)
  })

  test.each([
    ['checkpoints', '"xtrabackup_checkpoints" or "mariadb_backup_checkpoints"'],
    ['info', '"xtrabackup_info" or "mariadb_backup_info"'],
    ['configuration', '"backup-my.cnf"'],
    ['redoLog', '"ib_logfile0" or "xtrabackup_logfile"'],
  ])('a missing %s is named as both families call it', (role, names) => {
    expect(firstMissing({ ...FOUND, [role]: undefined })).toBe(names)
    expect(firstMissing(FOUND)).toBeUndefined()
  })
})

describe('checkpoints', () => {
  test('give log sequence numbers as digits, all 64 bits of them', () => {
    const text = 'backup_type = incremental\nfrom_lsn = 44420\nto_lsn = 18446744073709551615\nlast_lsn = 5\n'

    expect(parseCheckpoints(text)).toEqual({ from: '44420', to: '18446744073709551615', last: '5' })
  })

  test('leave out what is no number', () => {
    expect(parseCheckpoints('from_lsn = \nto_lsn = 12x\nlast_lsn')).toEqual({})
  })
})

describe('coordinates', () => {
  test.each([
    [
      'a file, a position and a GTID',
      'mybin.000002\t542\t0-1-7\n',
      { binlogFile: 'mybin.000002', binlogPosition: 542, gtid: '0-1-7' },
    ],
    [
      'several GTIDs of MariaDB',
      'b.1\t4\t0-1-7,1-2-9\n',
      { binlogFile: 'b.1', binlogPosition: 4, gtid: '0-1-7,1-2-9' },
    ],
    [
      'a set of MySQL, broken into lines',
      'b.1\t4\taa:1-5,\nbb:1-9\n',
      { binlogFile: 'b.1', binlogPosition: 4, gtid: 'aa:1-5,bb:1-9' },
    ],
    ['no GTID', 'b.1\t4\n', { binlogFile: 'b.1', binlogPosition: 4 }],
    ['an empty GTID', 'b.1\t4\t\n', { binlogFile: 'b.1', binlogPosition: 4 }],
    ['no position', 'b.1\n', {}],
    ['nothing', '', {}],
  ])('are read from %s', (_, text, coordinates) => {
    expect(parseBinlogInfo(text)).toEqual(coordinates)
  })
})

describe('the info file', () => {
  test('gives program, versions and coordinates', () => {
    expect(parseInfo(MARIADB_INFO)).toEqual({
      engine: 'mariadb-backup',
      engineVersion: '10.11.19-MariaDB',
      serverVersion: '10.11.19-MariaDB-0+deb12u1-log',
      coordinates: { binlogFile: 'mybin.000002', binlogPosition: 542, gtid: '0-1-7' },
    })
  })

  test.each([
    ['mariabackup', 'mariadb-backup'],
    ['/usr/bin/mariadb-backup', 'mariadb-backup'],
    ['innobackupex', 'xtrabackup'],
    ['xtrabackup', 'xtrabackup'],
    ['something', 'something'],
  ])('calls the program %s %s', (tool, engine) => {
    expect(parseInfo(`tool_name = ${tool}\n`).engine).toBe(engine)
  })

  test('gives a set of GTIDs of MySQL that goes on over several lines', () => {
    const text =
      "binlog_pos = filename 'b.1', position '4', GTID of the last change 'aa:1-5,\nbb:1-9'\ninnodb_from_lsn = 0\n"

    expect(parseInfo(text).coordinates.gtid).toBe('aa:1-5,bb:1-9')
  })

  test('gives nothing that is not there', () => {
    expect(parseInfo('')).toEqual({ coordinates: {} })
  })
})
