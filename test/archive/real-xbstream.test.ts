/**
 * The real programs have the last word: what `mariadb-backup` and `mbstream -c` write,
 * `mbstream -x` and three tar programs must make the same files of.
 */

import { createReadStream, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { ArchiveProof, XbstreamProof } from '../../lib/archive/index.ts'
import { mustRun } from '../rig/run-program.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { convert, MIB, pattern } from './converting.ts'
import { inPieces } from './cuts.ts'
import { makeScratch, readTree, type Scratch } from './file-trees.ts'
import { run, TAR_PROGRAMS } from './tar-programs.ts'
import { endChunk, fileChunks, payloadChunk } from './xbstream-writer.ts'

let scratch: Scratch

beforeEach(() => {
  scratch = makeScratch()
})

afterEach(() => scratch.remove())

const makeDirectory = (name: string): string => {
  const directory = join(scratch.directory, name)
  mkdirSync(directory)
  return directory
}

/** What `mbstream -x` makes of a stream. */
const byMbstream = (stream: Buffer): Map<string, string> => {
  const into = makeDirectory('by-mbstream')
  const { status, stderr } = run(['mbstream', '-x', '-C', into], stream)
  if (status !== 0) throw new Error(`mbstream -x: ${stderr}`)
  return readTree(into)
}

const byTar = (program: string, tar: Buffer): Map<string, string> => {
  const into = makeDirectory(`by-${program.replace(/\W/g, '-')}`)
  const { status, stderr } = run(TAR_PROGRAMS[program]?.(into) ?? [], tar)
  expect({ program, status, stderr }).toEqual({ program, status: 0, stderr: '' })
  return readTree(into)
}

describe('mbstream', () => {
  test('writes streams that we read: every size, every name', async () => {
    const source = makeDirectory('source')
    const sizes = [0, 1, 511, 512, 513, 70_000, 10 * MIB - 1, 10 * MIB, 10 * MIB + 1, 21 * MIB]
    const names = sizes.map((size) => `size ${size}`)
    for (const [index, size] of sizes.entries()) writeFileSync(join(source, `size ${size}`), pattern(size, index))
    for (const name of ['größe', 'n'.repeat(255), '#sql-1.ibd']) {
      writeFileSync(join(source, name), pattern(1000, name.length))
      names.push(name)
    }
    const { stdout: stream } = await mustRun('mbstream', ['-c', ...names], { directory: source })

    const { tar } = await convert(inPieces(stream), scratch.directory)

    expect(byTar('GNU tar', tar)).toEqual(readTree(source))
    expect(byMbstream(stream)).toEqual(readTree(source))
  })

  test('reads what the tests write, a chunk of an unknown kind included', async () => {
    const stream = Buffer.concat([
      fileChunks('db/a.ibd', pattern(100_000), 30_000),
      payloadChunk('log', 0, pattern(10)),
      payloadChunk('hint', 0, pattern(5), { type: 'X', flags: 1 }),
      fileChunks('db/b.frm', pattern(0)),
      payloadChunk('log', 10, pattern(10)),
      endChunk('log'),
    ])

    const { tar } = await convert([stream], scratch.directory)

    // mbstream 10.11.19 does not skip the unknown chunk but takes it for a file; at least it agrees about its layout.
    const wanted = byMbstream(stream)
    expect(wanted.delete('hint')).toBe(true)
    expect(byTar('GNU tar', tar)).toEqual(wanted)
  })
})

describe('mariadb-backup', () => {
  let server: ThrowawayServer
  let recordings: Scratch

  beforeAll(async () => {
    recordings = makeScratch()
    server = await ThrowawayServer.start({ binaryLog: true })
    await server.query(`
      CREATE DATABASE shop; CREATE DATABASE \`größe und maß\`; USE shop;
      CREATE TABLE empty_one (id INT PRIMARY KEY) ENGINE=InnoDB;
      CREATE TABLE \`with space\` (id INT PRIMARY KEY, t TEXT) ENGINE=MyISAM AS SELECT seq AS id, 'x' AS t FROM seq_1_to_5000;
      CREATE TABLE aria_one (id INT PRIMARY KEY) ENGINE=Aria AS SELECT seq AS id FROM seq_1_to_5000;
      CREATE TABLE csv_one (id INT NOT NULL) ENGINE=CSV;
      CREATE TABLE \`größe und maß\`.\`löwe\` (id INT PRIMARY KEY) AS SELECT seq AS id FROM seq_1_to_100;
    `)
    for (const name of ['big1', 'big2', 'big3', 'big4', 'big5']) {
      await server.query(
        `USE shop; CREATE TABLE ${name} (id INT PRIMARY KEY, t CHAR(200)) AS SELECT seq AS id, MD5(seq) AS t FROM seq_1_to_30000`,
      )
    }
    for (const parallel of [1, 4]) {
      await mustRun('mariadb-backup', backup(parallel), { outputFile: join(recordings.directory, `${parallel}.xb`) })
    }
  })

  afterAll(async () => {
    await server?.discard()
    recordings?.remove()
  })

  const backup = (parallel: number): string[] => [
    '--no-defaults',
    '--backup',
    '--stream=xbstream',
    `--parallel=${parallel}`,
    `--socket=${server.socket}`,
    '--user=root',
    `--target-dir=${recordings.directory}`,
  ]

  /** The server is idle while these streams are made, so that its files have the size they had then. */
  const sizeOf = (path: string): number | undefined =>
    statSync(join(server.dataDirectory, path), { throwIfNoEntry: false })?.size

  const GNU = ['GNU tar']
  const ALL = Object.keys(TAR_PROGRAMS)

  const CASES: [string, number, string[], { memoryBytes: number; sizeOf(path: string): number | undefined }][] = [
    ['with everything in memory', 1, GNU, { memoryBytes: 256 * MIB, sizeOf }],
    ['with tablespaces written while they come', 1, ALL, { memoryBytes: 4 * MIB, sizeOf }],
    ['with four threads and little memory', 4, ALL, { memoryBytes: 4 * MIB, sizeOf }],
    ['with four threads and no size known', 4, GNU, { memoryBytes: 2 * MIB, sizeOf: () => undefined }],
  ]

  test.each(CASES)(
    'writes a backup of which tar unpacks what mbstream does, %s',
    async (_, parallel, programs, settings) => {
      const file = join(recordings.directory, `${parallel}.xb`)

      const { tar, summary, members } = await convert(createReadStream(file), scratch.directory, settings)

      const wanted = byMbstream(readFileSync(file))
      for (const program of programs) expect(byTar(program, tar)).toEqual(wanted)
      expect(wanted.size).toBeGreaterThan(30)
      expect(summary).toMatchObject({
        members: [...wanted.values()].filter((what) => what !== 'directory').length,
        xbstreamBytes: statSync(file).size,
        padded: [],
        metadata: {
          // MariaDB 11 has names of its own for them.
          checkpoints: expect.stringMatching(/^(xtrabackup|mariadb_backup)_checkpoints$/),
          info: expect.stringMatching(/^(xtrabackup|mariadb_backup)_info$/),
          configuration: 'backup-my.cnf',
          redoLog: 'ib_logfile0',
        },
      })
      const proof = new ArchiveProof()
      proof.push(tar)
      expect(proof.finish()).toMatchObject({ members: summary.members, bytes: tar.length, engine: 'mariadb-backup' })
      expect(summary.peakMemoryBytes).toBeLessThanOrEqual(settings.memoryBytes)
      expect(new Set(members.map(([path]) => path)).size).toBe(members.length)
    },
    60_000,
  )

  test('has several tablespaces in one stretch of the stream when it uses four threads', async () => {
    const { summary } = await convert(createReadStream(join(recordings.directory, '4.xb')), scratch.directory, {
      memoryBytes: 2 * MIB,
      sizeOf,
    })

    // What this shows: the case above did go through the spool.
    expect(summary.peakSpoolBytes).toBeGreaterThan(MIB)
  })

  test('gets no whole archive out of a stream that was cut, as a killed program leaves it', async () => {
    const stream = readFileSync(join(recordings.directory, '1.xb'))
    const cuts = Array.from({ length: 12 }, (_, n) => Math.floor(((n + 0.5) / 12) * stream.length))

    for (const cut of cuts) {
      const converting = convert(inPieces(stream.subarray(0, cut)), scratch.directory, { memoryBytes: 4 * MIB, sizeOf })

      await expect(converting).rejects.toMatchObject({
        code: expect.stringMatching(/^XBSTREAM_(TRUNCATED|FILE_OPEN)$/),
      })
    }
  })

  // The last one: the server is not what it was afterwards.
  test.each([1, 4])(
    'writes an increment of which tar unpacks what mbstream does, by %s threads',
    async (parallel) => {
      const full = new XbstreamProof()
      full.push(readFileSync(join(recordings.directory, '1.xb')))
      const { lsn } = full.finish()
      await server.query(`
        USE shop;
        CREATE OR REPLACE TABLE fresh (id INT PRIMARY KEY, t CHAR(200)) AS SELECT seq AS id, MD5(seq) AS t FROM seq_1_to_30000;
        DROP TABLE IF EXISTS big5, csv_one, renamed;
        RENAME TABLE empty_one TO renamed;
        CREATE TABLE empty_one (id INT PRIMARY KEY) ENGINE=InnoDB;
        UPDATE big1 SET t = MD5(t);
        DELETE FROM big2 WHERE id % 7 = 0;
      `)
      const file = join(recordings.directory, `increment-${parallel}.xb`)
      await mustRun('mariadb-backup', [...backup(parallel), `--incremental-lsn=${lsn.to}`], { outputFile: file })
      const memoryBytes = 2 * MIB

      const { tar, summary } = await convert(createReadStream(file), scratch.directory, { memoryBytes, sizeOf })

      const wanted = byMbstream(readFileSync(file))
      for (const program of ALL) expect(byTar(program, tar)).toEqual(wanted)
      const names = [...wanted.keys()]
      for (const name of ['shop/big1.ibd.delta', 'shop/big1.ibd.meta', 'ibdata1.delta', 'ibdata1.meta']) {
        expect(names).toContain(name)
      }
      // A table that was made since the full backup is there whole, under whatever name.
      expect(names.filter((name) => /^shop\/fresh\.(?:new|ibd|ibd\.delta)$/.test(name))).not.toEqual([])
      // A change of a whole table is larger than what one file may take of the memory, and its size is nowhere said.
      expect(summary.peakSpoolBytes).toBeGreaterThan(MIB)
      expect(summary.padded).toEqual([])
      expect(summary.checkpoints).toMatchObject({ backupType: 'incremental', lsn: { from: lsn.to } })
      const proof = new ArchiveProof()
      proof.push(tar)
      expect(proof.finish()).toMatchObject({
        members: summary.members,
        backupType: 'incremental',
        lsn: summary.checkpoints?.lsn,
      })
    },
    60_000,
  )
})
