import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'

import { afterAll, describe, expect, test } from '@jest/globals'

import type { ArchiveEntry } from '../../lib/archive/index.ts'
import { type FilesRun, findEngine } from '../../lib/engines/index.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { MemoryLog, never, readAll, Scratch } from './stand-ins.ts'

const scratch = new Scratch()
afterAll(() => scratch.remove())

let made = 0
/** A directory with these files in it. */
const directoryOf = (files: Record<string, string | Buffer>): string => {
  made += 1
  const root = scratch.directory(`data-${made}`)
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), bytes)
  }
  return root
}

const start = async (directory: string, signal = never(), log = new MemoryLog()): Promise<FilesRun> => {
  const engine = await findEngine(scratch.settings({ engine: 'directory', directory }))
  const run = await engine.start({ signal, log })
  if (run.kind !== 'files') throw new Error('expected files')
  return run
}

const readEverything = async (
  run: FilesRun,
  during: (path: string) => void = () => {},
): Promise<Map<string, Buffer>> => {
  const found = new Map<string, Buffer>()
  for await (const entry of run.entries) {
    found.set(entry.path, entry.type === 'file' ? await readAll(entry.body()) : Buffer.alloc(0))
    during(entry.path)
  }
  return found
}

const BIG = Buffer.alloc(700_000, 'big') // three pieces

describe('a directory', () => {
  test('comes file by file, with what a restore needs to know', async () => {
    const root = directoryOf({ 'db/t.ibd': 'rows', 'db/empty.CSV': '', ibdata1: BIG })
    chmodSync(join(root, 'db/t.ibd'), 0o4640)
    utimesSync(join(root, 'db/t.ibd'), 1_700_000_000, 1_700_000_000.25)
    const run = await start(root)

    const entries: ArchiveEntry[] = []
    for await (const entry of run.entries) {
      entries.push(entry)
      if (entry.type === 'file')
        expect((await readAll(entry.body())).equals(readFileSync(join(root, entry.path)))).toBe(true)
    }

    const { uid, gid } = statSync(root)
    expect(entries.map(({ path, type, sizeBytes }) => [path, type, sizeBytes])).toEqual([
      ['db', 'directory', 0],
      ['db/empty.CSV', 'file', 0],
      ['db/t.ibd', 'file', 4],
      ['ibdata1', 'file', 700_000],
    ])
    expect(entries[2]).toMatchObject({ mode: 0o640, mtimeMs: 1_700_000_000_250, uid, gid })
    expect(run.totals).toEqual({ entries: 4, bytes: 700_004 })
    expect(await run.settled).toMatchObject({ exitCode: 0, signal: undefined, saidOk: true, failure: undefined })
    expect(run.totalBytes()).toBe(700_004)
    expect(run.progress()).toEqual({
      stage: 'done',
      files: 3,
      lastFile: 'ibdata1',
      locked: false,
      waitingForLock: false,
      words: 0,
    })
  })

  test('comes in one order, what a server starts with at its end and ibdata1 last of all', async () => {
    const names = [
      'ibdata2',
      'ibdata1',
      'ib_logfile0',
      'aria_log_control',
      'aria_log.00000001',
      'undo001',
      'z.txt',
      'binlog.000001',
      'b/y.frm',
      'b/x.frm',
      'b.d/1',
      'a/t.ibd',
      'é/t.ibd',
    ]
    const root = directoryOf(Object.fromEntries(names.map((name) => [name, name])))

    const paths = [...(await readEverything(await start(root))).keys()]

    expect(paths).toEqual([
      'a',
      'a/t.ibd',
      'b',
      'b/x.frm',
      'b/y.frm',
      'b.d',
      'b.d/1',
      'é',
      'é/t.ibd',
      'binlog.000001',
      'z.txt',
      'aria_log.00000001',
      'aria_log_control',
      'undo001',
      'ib_logfile0',
      'ibdata2',
      'ibdata1',
    ])
  })

  test('may be named through a symbolic link', async () => {
    const root = directoryOf({ ibdata1: 'x' })
    symlinkSync(root, `${root}-link`)

    expect([...(await readEverything(await start(`${root}-link`))).keys()]).toEqual(['ibdata1'])
  })

  test('comes without sockets, FIFOs, process ids and lost+found, and the log says so', async () => {
    const root = directoryOf({
      ibdata1: 'x',
      'host.pid': '1',
      'db/t.pid': '1',
      'lost+found/x': 'x',
      'db/lost+found/kept': 'x',
    })
    execFileSync('mkfifo', [join(root, 'fifo')])
    const server = createServer().listen(join(root, 'mysql.sock'))
    await new Promise((resolve) => server.once('listening', resolve))
    const log = new MemoryLog()

    const run = await start(root, never(), log)
    const paths = [...(await readEverything(run)).keys()]
    const { failure } = await run.settled
    server.close()

    expect(failure).toBeUndefined()
    expect(paths).toEqual(['db', 'db/lost+found', 'db/lost+found/kept', 'ibdata1'])
    expect(
      log.lines.flatMap(({ facts }) => (facts['why'] === undefined ? [] : [`${facts['path']}: ${facts['why']}`])),
    ).toEqual([
      'db/t.pid: the process id of a server',
      'fifo: a FIFO',
      'host.pid: the process id of a server',
      'lost+found: it belongs to the file system',
      'mysql.sock: a socket',
    ])
  })

  test.each([
    ['is empty', (_root: string) => {}, 'ENGINE_DIRECTORY', /no file in/],
    ['has directories only', (root: string) => mkdirSync(join(root, 'db')), 'ENGINE_DIRECTORY', /no file in/],
    [
      'has a link to a file',
      (root: string) => symlinkSync('/etc/hosts', join(root, 'ibdata1')),
      'ENGINE_DIRECTORY',
      /"ibdata1" in .* is a symbolic link/,
    ],
    [
      'has a link to a directory',
      (root: string) => symlinkSync('/srv', join(root, 'db')),
      'ENGINE_DIRECTORY',
      /"db" in .* is a symbolic link/,
    ],
    [
      'has a link to nothing',
      (root: string) => symlinkSync('nowhere', join(root, 'db')),
      'ENGINE_DIRECTORY',
      /is a symbolic link/,
    ],
    [
      'has a name that is not UTF-8',
      (root: string) => writeFileSync(Buffer.concat([Buffer.from(`${root}/t`), Buffer.of(0xe4)]), ''),
      'ENGINE_DIRECTORY',
      /not UTF-8: bytes 74e4/,
    ],
    [
      'has a name with a line end',
      (root: string) => writeFileSync(join(root, 'a\nb'), ''),
      'ARCHIVE_PATH_UNSAFE',
      /control character/,
    ],
    ['went away', (root: string) => rmSync(root, { recursive: true }), 'ENGINE_DIRECTORY', /cannot be read: ENOENT/],
  ])('is refused before its first byte when it %s', async (_, make, code, message) => {
    const root = directoryOf({})
    const engine = await findEngine(scratch.settings({ engine: 'directory', directory: root }))
    make(root)

    await expect(engine.start({ signal: never(), log: new MemoryLog() })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    })
  })

  /** Root may read everything, and some builds of Node (Debian 13's) do not let it become somebody else. */
  const mayBeUnreadable = (() => {
    if (process.geteuid?.() !== 0) return true
    try {
      process.seteuid?.(0)
      return true
    } catch {
      return false
    }
  })()

  ;(mayBeUnreadable ? test : test.skip).each([
    ['file', 'db/t.ibd', 0o000],
    ['directory', 'db', 0o000],
  ])('is refused with the name of a %s that may not be read', async (_, name, mode) => {
    const root = directoryOf({ 'db/t.ibd': 'rows', ibdata1: 'x' })
    chmodSync(scratch.path, 0o755)
    chmodSync(join(root, name), mode)
    const isRoot = process.geteuid?.() === 0
    chmodSync(root, 0o755)

    if (isRoot) process.seteuid?.(65_534)
    const reading = start(root).then((run) => readEverything(run))
    const error = await reading.catch((thrown: unknown) => thrown)
    if (isRoot) process.seteuid?.(0)
    chmodSync(join(root, name), 0o755)

    expect(error).toMatchObject({
      code: 'ENGINE_DIRECTORY',
      message: `${join(root, name)} cannot be read: EACCES`,
      hint: expect.stringMatching(/as the user that owns the directory/),
    })
  })
})

describe('a directory that changes', () => {
  const at = (path: string) => (root: string) => join(root, path)
  const big = at('db/big.ibd')
  const early = at('a/early.ibd')

  const CHANGES: [string, (root: string) => void, RegExp][] = [
    ['a file becomes shorter', (root) => truncateSync(big(root), 10), /big\.ibd changed/],
    ['a file becomes longer', (root) => appendFileSync(big(root), 'x'), /big\.ibd changed/],
    [
      'a file is written to in place',
      (root) => writeFileSync(big(root), Buffer.alloc(700_000, 'x')),
      /big\.ibd changed/,
    ],
    [
      'a file is written to and its time put back',
      (root) => {
        const { atime, mtime } = statSync(big(root))
        writeFileSync(big(root), Buffer.alloc(700_000, 'x'))
        utimesSync(big(root), atime, mtime)
      },
      /big\.ibd changed/,
    ],
    [
      'a file is replaced by another of its size',
      (root) => {
        cpSync(big(root), `${root}/../replacement`, { preserveTimestamps: true })
        renameSync(`${root}/../replacement`, big(root))
      },
      /changed/,
    ],
    ['a file is removed', (root) => unlinkSync(big(root)), /changed/],
    ['a file that was read already is written to', (root) => appendFileSync(early(root), 'x'), /early\.ibd changed/],
    ['a file that was read already is removed', (root) => unlinkSync(early(root)), /early\.ibd changed|a changed/],
    ['a file comes to a directory', (root) => writeFileSync(at('a/new.ibd')(root), ''), /^a changed/],
    ['a file comes to the top', (root) => writeFileSync(at('new')(root), ''), /^\. changed/],
  ]

  test.each(CHANGES)('is no backup when, in the middle of a file, %s', async (_, change, message) => {
    const root = directoryOf({ 'a/early.ibd': 'early', 'db/big.ibd': BIG, ibdata1: 'x' })
    const run = await start(root)

    const reading = (async () => {
      for await (const entry of run.entries) {
        if (entry.type === 'directory') continue
        let pieces = 0
        for await (const _ of entry.body()) {
          pieces += 1
          if (entry.path === 'db/big.ibd' && pieces === 1) change(root)
        }
      }
    })()

    await expect(reading).rejects.toMatchObject({
      code: 'ARCHIVE_MEMBER_CHANGED',
      message: expect.stringMatching(message),
    })
    expect(await run.settled).toMatchObject({ saidOk: false, failure: { code: 'ARCHIVE_MEMBER_CHANGED' } })
  })

  test.each(CHANGES)('is no backup when, after it was counted, %s', async (_, change) => {
    const root = directoryOf({ 'a/early.ibd': 'early', 'db/big.ibd': BIG, ibdata1: 'x' })
    const run = await start(root)
    change(root)

    const error = await readEverything(run).catch((thrown: unknown) => thrown)

    // A file that is gone altogether cannot be opened: that is told as such.
    expect(['ARCHIVE_MEMBER_CHANGED', 'ENGINE_DIRECTORY']).toContain((error as BackupError).code)
    expect((await run.settled).failure).toBe(error)
  })

  test.each(CHANGES)('is no backup when, after the last file was read, %s', async (_, change) => {
    const root = directoryOf({ 'a/early.ibd': 'early', 'db/big.ibd': BIG, ibdata1: 'x' })
    const run = await start(root)

    const reading = readEverything(run, (path) => path === 'ibdata1' && change(root))

    await expect(reading).rejects.toMatchObject({ code: 'ARCHIVE_MEMBER_CHANGED' })
  })

  test('is not followed when a link takes the place of a file', async () => {
    const root = directoryOf({ 'db/t.ibd': 'rows', ibdata1: 'x' })
    const run = await start(root)
    unlinkSync(join(root, 'db/t.ibd'))
    symlinkSync('/etc/hosts', join(root, 'db/t.ibd'))

    await expect(readEverything(run)).rejects.toMatchObject({
      code: 'ENGINE_DIRECTORY',
      message: expect.stringMatching(/ELOOP/),
    })
  })

  test('is not waited for when a FIFO takes the place of a file', async () => {
    const root = directoryOf({ 'db/t.ibd': 'rows', ibdata1: 'x' })
    const run = await start(root)
    unlinkSync(join(root, 'db/t.ibd'))
    execFileSync('mkfifo', [join(root, 'db/t.ibd')])

    await expect(readEverything(run)).rejects.toMatchObject({ code: 'ARCHIVE_MEMBER_CHANGED' })
  })
})

describe('stopping', () => {
  const reason = new BackupError('JOB_CLIENT_GONE', 'the client went away')

  test('in the middle of a file ends the reading with the reason', async () => {
    const abort = new AbortController()
    const run = await start(directoryOf({ 'db/big.ibd': BIG, ibdata1: 'x' }), abort.signal)

    const reading = (async () => {
      for await (const entry of run.entries) {
        if (entry.type === 'directory') continue
        for await (const _ of entry.body()) abort.abort(reason)
      }
    })()

    await expect(reading).rejects.toBe(reason)
    expect((await run.settled).failure).toBe(reason)
  })

  test('settles though nobody asked for the files', async () => {
    const abort = new AbortController()
    const run = await start(directoryOf({ ibdata1: 'x' }), abort.signal)

    abort.abort(reason)

    expect(await run.settled).toMatchObject({ exitCode: undefined, saidOk: false, failure: reason })
  })

  test('for a reason that is none of ours is a cancel', async () => {
    const abort = new AbortController()
    const run = await start(directoryOf({ ibdata1: 'x' }), abort.signal)

    abort.abort(new Error('stop'))

    expect((await run.settled).failure).toMatchObject({ code: 'JOB_CANCELLED' })
  })

  test('a reader that gives up is not a success', async () => {
    const run = await start(directoryOf({ 'db/t.ibd': 'rows', ibdata1: 'x' }))

    for await (const entry of run.entries) if (entry.type === 'file') break

    expect(await run.settled).toMatchObject({ saidOk: false, failure: { code: 'ENGINE_FAILED' } })
  })

  test('before the start starts nothing', async () => {
    await expect(start(directoryOf({ ibdata1: 'x' }), AbortSignal.abort(reason))).rejects.toBe(reason)
  })
})

describe('a real server', () => {
  test('keeps its directory from being read while it runs, and not when it is stopped', async () => {
    const server = await ThrowawayServer.start()
    try {
      await server.query('CREATE DATABASE shop; CREATE TABLE shop.t (a INT)')

      await expect(start(server.dataDirectory)).rejects.toMatchObject({
        code: 'ENGINE_DIRECTORY',
        message: expect.stringMatching(
          new RegExp(`^a server runs on .*: mariadbd \\(pid ${server.pid}\\) holds a lock on `),
        ),
        hint: expect.stringMatching(/--engine mariadb-backup/),
      })

      await server.stop()
      const run = await start(server.dataDirectory)
      const found = await readEverything(run)
      expect((await run.settled).failure).toBeUndefined()
      expect(found.get('ibdata1')?.equals(readFileSync(join(server.dataDirectory, 'ibdata1')))).toBe(true)
      expect([...found.keys()]).toContain('shop/t.ibd')
    } finally {
      await server.discard()
    }
  })

  test('that starts while its directory is read spoils the backup', async () => {
    const server = await ThrowawayServer.start()
    try {
      await server.stop()
      const run = await start(server.dataDirectory)
      let restarted: Promise<void> | undefined

      const reading = (async () => {
        for await (const entry of run.entries) {
          restarted ??= server.restart()
          await restarted
          if (entry.type === 'file') await readAll(entry.body())
        }
      })()

      await expect(reading).rejects.toMatchObject({
        code: expect.stringMatching(/^(ARCHIVE_MEMBER_CHANGED|ENGINE_DIRECTORY)$/),
      })
    } finally {
      await server.discard()
    }
  })
})
