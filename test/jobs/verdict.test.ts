import { describe, expect, test } from '@jest/globals'

import type { FilterEnd } from '../../lib/engines/index.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { type BackupFacts, decideVerdict } from '../../lib/jobs/index.ts'

const WHOLE: BackupFacts = {
  exitCode: 0,
  signal: undefined,
  saidOk: true,
  engineFailure: undefined,
  stopped: undefined,
  members: 12,
  metadataMissing: [],
  archiveBytes: 4096,
  sentBytes: 4096,
}

const COMPRESSOR: FilterEnd = {
  ...{ name: 'zstd', exitCode: 0, signal: undefined, isCancelled: false, tookAll: true, lastLine: undefined },
}

describe('a backup', () => {
  test('is complete when every fact holds', () => {
    expect(decideVerdict(WHOLE)).toEqual({ complete: true })
    expect(decideVerdict({ ...WHOLE, compressor: COMPRESSOR })).toEqual({ complete: true })
  })

  test.each<[string, Partial<BackupFacts>, string]>([
    ['the program exited with an error after all its bytes', { exitCode: 1 }, 'ENGINE_FAILED'],
    ['the program was killed', { exitCode: undefined, signal: 'SIGKILL' }, 'ENGINE_FAILED'],
    ['the exit code is not known', { exitCode: undefined }, 'ENGINE_FAILED'],
    ['the program exited with 0 without its word of success', { saidOk: false }, 'ENGINE_NO_OK'],
    ['the archive is empty', { members: 0 }, 'JOB_INCOMPLETE'],
    ['the metadata is not there', { metadataMissing: ['xtrabackup_checkpoints'] }, 'ARCHIVE_METADATA_MISSING'],
    ['a byte of the archive was not sent', { sentBytes: 4095 }, 'JOB_INCOMPLETE'],
    ['a byte was sent twice', { sentBytes: 4097 }, 'JOB_INCOMPLETE'],
    ['the compressor exited with 1', { compressor: { ...COMPRESSOR, exitCode: 1 } }, 'COMPRESS_FAILED'],
    ['the compressor warned and exited with 2', { compressor: { ...COMPRESSOR, exitCode: 2 } }, 'COMPRESS_FAILED'],
    [
      'the compressor was killed',
      { compressor: { ...COMPRESSOR, exitCode: undefined, signal: 'SIGKILL' } },
      'COMPRESS_FAILED',
    ],
    ['the compressor did not take everything', { compressor: { ...COMPRESSOR, tookAll: false } }, 'COMPRESS_FAILED'],
    ['it was stopped', { stopped: new BackupError('JOB_CANCELLED', 'stopped') }, 'JOB_CANCELLED'],
    ['the program said why it failed', { engineFailure: new BackupError('ENGINE_LOGIN', 'no') }, 'ENGINE_LOGIN'],
  ])('is not complete when %s', (_, broken, code) => {
    const verdict = decideVerdict({ ...WHOLE, ...broken })

    expect(verdict).toMatchObject({ complete: false, failure: { code } })
  })

  test('fails for its cause, not for the consequences', () => {
    const verdict = decideVerdict({
      ...WHOLE,
      exitCode: 1,
      saidOk: false,
      compressor: { ...COMPRESSOR, exitCode: undefined, signal: 'SIGINT' },
      metadataMissing: ['backup-my.cnf'],
      engineFailure: new BackupError('ENGINE_REDO_OVERRUN', 'too slow'),
    })

    expect(verdict).toMatchObject({ failure: { code: 'ENGINE_REDO_OVERRUN' } })
  })
})
