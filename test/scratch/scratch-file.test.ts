import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { getSystemErrorName } from 'node:util'

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

import { ScratchDirectory, type ScratchFile } from '../../lib/scratch/index.ts'
import { mustRun, plainEnvironment, runProgram } from '../rig/run-program.ts'
import { OddDisk, systemError } from './odd-disk.ts'
import { openBelow } from './open-files.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB

const SCRATCH_PROGRAM = fileURLToPath(new URL('./scratch-process.js', import.meta.url))

/** As somebody else than us finds it out. */
const canBeNameless = (): boolean =>
  spawnSync('python3', ['-c', 'import os, sys; os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR)', tmpdir()]).status === 0

/** Mounted where nobody else sees it: of the file systems anybody may mount, the one without such files. */
const MOUNT_QUEUES = ['-rmi', 'sh', '-c', 'mount -t mqueue mqueue "$1" && exec "$2" "$3" "$1"', 'sh']
const canMountQueues = (): boolean => spawnSync('unshare', [...MOUNT_QUEUES, '/mnt', 'true']).status === 0

let directory: string
let disk: OddDisk
let scratch: ScratchDirectory
const opened: ScratchFile[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'scratch-'))
  disk = new OddDisk()
  scratch = new ScratchDirectory({ directory, random: randomBytes, disk })
})

afterEach(async () => {
  disk.before = () => {}
  for (const file of opened.splice(0)) await file.close()
  rmSync(directory, { recursive: true })
})

const open = async (): Promise<ScratchFile> => {
  const file = await scratch.open()
  opened.push(file)
  return file
}

describe('a scratch file', () => {
  test('gives back what was written, at its place', async () => {
    const file = await open()

    await file.write([Buffer.from('one'), Buffer.alloc(0), Buffer.from('two')], 0)
    await file.write([Buffer.from('three')], 6)

    expect((await file.read(8, 3)).toString()).toBe('twothree')
  })

  test.each([1, 2, 3, 4, 5, 7, 11])(
    'is whole though the disk takes and gives only %d bytes at a time',
    async (bytes) => {
      const file = await open()
      disk.mostBytes = bytes

      await file.write([Buffer.from('one'), Buffer.from('two'), Buffer.from('three')], 2)

      expect((await file.read(11, 2)).toString()).toBe('onetwothree')
      expect(disk.count('writev')).toBe(Math.ceil(11 / bytes))
    },
  )

  test.each([
    ['the disk can make one without a name', undefined],
    ['the disk cannot', 'ENOTSUP'],
  ])('has no name while it is used, and nobody else may read it: %s', async (_, withoutName) => {
    disk.withoutName = withoutName
    const file = await open()
    await file.write([Buffer.from('secret')], 0)

    expect(readdirSync(directory)).toEqual([])
    expect(openBelow(directory)).toEqual([expect.objectContaining({ mode: 0o600, bytes: 6 })])
    expect(openBelow(directory)[0]?.target).toMatch(/ \(deleted\)$/)
  })

  test('has a buffer of its own for every read', async () => {
    const file = await open()
    await file.write([Buffer.from('same')], 0)

    const first = await file.read(4, 0)
    first.fill('x')

    expect((await file.read(4, 0)).toString()).toBe('same')
    expect(first.buffer.byteLength).toBe(4)
  })

  test('gives its disk back when it is emptied, and when it is closed', async () => {
    const file = await open()
    await file.write([Buffer.alloc(MIB, 1)], 0)
    expect(openBelow(directory)[0]?.diskBytes).toBeGreaterThanOrEqual(MIB)

    await file.empty()

    expect(openBelow(directory)[0]).toMatchObject({ bytes: 0, diskBytes: 0 })
    await file.close()
    expect(openBelow(directory)).toEqual([])
  })

  test('is closed only after a read that is under way', async () => {
    const file = await open()
    await file.write([Buffer.alloc(MIB, 7)], 0)

    const [bytes] = await Promise.all([file.read(MIB, 0), file.close()])

    expect(bytes.every((byte) => byte === 7)).toBe(true)
    expect(openBelow(directory)).toEqual([])
  })

  test('can be closed though the system complains', async () => {
    const file = await open()
    disk.before = (call) => {
      if (call === 'close') throw systemError('EIO')
    }

    await expect(file.close()).resolves.toBeUndefined()
  })
})

describe('its name', () => {
  test('never is, where the disk can do without: only the directory is opened, and nothing unlinked', async () => {
    disk.withoutName = undefined

    await (await open()).write([Buffer.of(1)], 0)

    expect(disk.opened.map(({ path }) => path)).toEqual([directory])
    expect(disk.calls.filter((call) => call !== 'statfs')).toEqual(['open', 'writev'])
  })

  test('is left out by the flag that the system has for it', async () => {
    disk.withoutName = undefined
    await open()

    const python = await mustRun('python3', ['-c', 'import os; print(os.O_TMPFILE | os.O_RDWR | os.O_EXCL)'])

    expect(disk.opened[0]?.flags).toBe(Number(python.stdout))
  })

  test.each(['ENOTSUP', 'EOPNOTSUPP', 'EISDIR', 'ENOENT', 'EINVAL'])(
    'is lost before the first byte, where the disk says %s to a file without one',
    async (code) => {
      disk.withoutName = code

      await (await open()).write([Buffer.of(1)], 0)

      expect(disk.calls.filter((call) => call !== 'statfs')).toEqual(['open', 'unlink', 'writev'])
      expect(disk.opened[1]?.path).toMatch(/\/\.scratch-[0-9a-f]{32}$/)
      expect(readdirSync(directory)).toEqual([])
    },
  )

  test('is not tried, where another failure has hindered it', async () => {
    disk.withoutName = 'EACCES'

    await expect(scratch.open()).rejects.toMatchObject({ code: 'SCRATCH_IO', facts: { system: 'EACCES' } })

    expect(disk.opened).toHaveLength(1)
  })

  test('is what this system calls it when a file system cannot do without', () => {
    expect(getSystemErrorName(-constants.errno.EOPNOTSUPP)).toBe('ENOTSUP')
  })
})

;(canBeNameless() ? describe : describe.skip)('on a real disk that makes files without a name', () => {
  test('nobody who watches the directory ever sees one', async () => {
    const seen = await namesSeen(async () => {
      const file = await new ScratchDirectory({ directory }).open()
      await file.write([Buffer.alloc(MIB)], 0)
      await file.close()
    })

    expect(seen).toEqual(['the-end'])
  })

  test('whoever watches sees the one that a file has elsewhere, for a moment', async () => {
    const seen = await namesSeen(async () => {
      const file = await scratch.open()
      await file.close()
    })

    expect(seen).toEqual([expect.stringMatching(/^\.scratch-[0-9a-f]{32}$/), 'the-end'])
  })

  test('nobody can give it one later', async () => {
    disk.withoutName = undefined
    await open()
    const [fd] = readdirSync('/proc/self/fd').filter((name) => linkOf(name)?.startsWith(directory))

    const linked = await runProgram('ln', ['-L', `/proc/${process.pid}/fd/${fd}`, join(directory, 'name')])

    expect(linked).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('No such file') })
    expect(readdirSync(directory)).toEqual([])
  })

  test('a process that is killed between the opening and the first byte leaves nothing', async () => {
    const child = spawn(process.execPath, [SCRATCH_PROGRAM, directory], { env: plainEnvironment() })
    const closed = once(child, 'close')
    const [told] = (await once(child.stdout, 'data')) as [Buffer]

    child.kill('SIGKILL')
    await closed

    expect(told.toString()).toMatch(/^open .* \(deleted\)\n$/)
    expect(readdirSync(directory)).toEqual([])
  })
})

;(canMountQueues() ? test : test.skip)(
  'on a real file system that cannot make files without a name (message queues) it is lost at once',
  async () => {
    const run = await mustRun('unshare', [...MOUNT_QUEUES, directory, process.execPath, SCRATCH_PROGRAM])

    expect(run.stdout.toString()).toMatch(/^open .*\/\.scratch-[0-9a-f]{32} \(deleted\)\n$/)
  },
)

describe('what stands in its place', () => {
  const predictable = () => new ScratchDirectory({ directory, random: (bytes) => Buffer.alloc(bytes, 0xab), disk })
  const name = `.scratch-${'ab'.repeat(16)}`

  test('is not opened when it is a link', async () => {
    const victim = join(directory, 'victim')
    writeFileSync(victim, 'untouched')
    symlinkSync(victim, join(directory, name))

    await expect(predictable().open()).rejects.toMatchObject({ code: 'SCRATCH_IO', facts: { system: 'EEXIST' } })
    expect(readFileSync(victim, 'utf8')).toBe('untouched')
    expect(readdirSync(directory).sort()).toEqual([name, 'victim'])
  })

  test('is not opened when it is a file', async () => {
    writeFileSync(join(directory, name), 'somebody else’s')

    await expect(predictable().open()).rejects.toMatchObject({ code: 'SCRATCH_IO' })
    expect(readFileSync(join(directory, name), 'utf8')).toBe('somebody else’s')
  })
})

describe('a failure', () => {
  test.each([
    ['no such directory', 'open', 'ENOENT', 'SCRATCH_IO', 'made'],
    ['no permission', 'open', 'EACCES', 'SCRATCH_IO', 'made'],
    ['no descriptor left', 'open', 'EMFILE', 'SCRATCH_IO', 'made'],
    ['a name that stays', 'unlink', 'EPERM', 'SCRATCH_IO', 'made'],
    ['no space for a name', 'open', 'ENOSPC', 'SCRATCH_NO_ROOM', 'made'],
    ['no word about the space', 'statfs', 'EIO', 'SCRATCH_IO', 'given room'],
    ['a full disk', 'writev', 'ENOSPC', 'SCRATCH_NO_ROOM', 'written'],
    ['a quota', 'writev', 'EDQUOT', 'SCRATCH_NO_ROOM', 'written'],
    ['a broken disk', 'writev', 'EIO', 'SCRATCH_IO', 'written'],
    ['a broken disk', 'read', 'EIO', 'SCRATCH_IO', 'read back'],
    ['a broken disk', 'truncate', 'EIO', 'SCRATCH_IO', 'emptied'],
  ] as const)('of %s at %s says %s as %s, and what to do', async (_, broken, system, code, verb) => {
    disk.before = (call) => {
      if (call === broken) throw systemError(system)
    }

    const using = (async () => {
      const file = await open()
      await file.write([Buffer.from('text')], 0)
      await file.read(4, 0)
      await file.empty()
    })()

    await expect(using).rejects.toMatchObject({
      code,
      message: expect.stringContaining(`in ${directory} cannot be ${verb}: ${system}`),
      facts: { directory, system },
      hint: expect.stringContaining('--spool-dir'),
    })
  })

  test('to lose its name leaves nothing open', async () => {
    disk.before = (call) => {
      if (call === 'unlink') throw systemError('EPERM')
    }

    await expect(scratch.open()).rejects.toMatchObject({ code: 'SCRATCH_IO' })
    expect(openBelow(directory)).toEqual([])
  })

  test('is a read behind the end, instead of zeros', async () => {
    const file = await open()
    await file.write([Buffer.from('four')], 0)

    await expect(file.read(5, 0)).rejects.toMatchObject({
      code: 'SCRATCH_IO',
      message: expect.stringMatching(/ends at/),
    })
  })

  test('is a disk that takes nothing and says nothing', async () => {
    const file = await open()
    disk.mostBytes = 0

    await expect(file.write([Buffer.of(1)], 0)).rejects.toMatchObject({ code: 'SCRATCH_IO' })
  })
})

describe('the reserve', () => {
  /** A disk in units of 1 MiB. */
  const space = (freeMib: number, sizeMib: number) => ({ bavail: freeMib, blocks: sizeMib, bsize: MIB })

  test.each([
    ['a 20th of a small disk', space(6, 100), MIB, 'fits'],
    ['a 20th of a small disk', space(6, 100), MIB + 1, 'refused'],
    ['1 GiB of a large one', space(1025, 1024 * 1024), MIB, 'fits'],
    ['1 GiB of a large one', space(1025, 1024 * 1024), MIB + 1, 'refused'],
    ['more than is free', space(0, 100), 1, 'refused'],
  ])('is %s: with %j, %d bytes are %s', async (_, given, bytes, verdict) => {
    const file = await open()
    disk.space = () => given

    const writing = file.write([Buffer.alloc(bytes)], 0)

    if (verdict === 'fits') await expect(writing).resolves.toBeUndefined()
    else {
      await expect(writing).rejects.toMatchObject({
        code: 'SCRATCH_NO_ROOM',
        facts: {
          directory,
          freeBytes: given.bavail * MIB,
          reserveBytes: Math.min(given.blocks * MIB * 0.05, GIB),
          wantedBytes: bytes,
        },
        hint: expect.stringContaining('--spool-bytes'),
      })
      expect(disk.count('writev')).toBe(0)
    }
  })

  test('is looked at before the first byte, and again while the disk fills', async () => {
    const file = await open()
    disk.space = () => space(100, 1000)
    for (let mib = 0; mib < 16; mib += 1) await file.write([Buffer.alloc(MIB)], mib * MIB)
    expect(disk.count('statfs')).toBe(1)

    disk.space = () => space(50, 1000) // somebody else has written, too

    await expect(file.write([Buffer.alloc(MIB)], 16 * MIB)).rejects.toMatchObject({ code: 'SCRATCH_NO_ROOM' })
  })

  test('is asked about before one write that is larger than the steps of asking', async () => {
    const file = await open()
    disk.space = () => space(69, 1000)

    await expect(file.write([Buffer.alloc(20 * MIB)], 0)).rejects.toMatchObject({ code: 'SCRATCH_NO_ROOM' })
  })

  test('is not asked for bytes that the file already occupies', async () => {
    const file = await open()
    await file.write([Buffer.alloc(16 * MIB)], 0)
    disk.space = () => space(0, 1000)

    await file.write([Buffer.alloc(MIB)], MIB)

    await expect(file.write([Buffer.of(1)], 16 * MIB)).rejects.toMatchObject({ code: 'SCRATCH_NO_ROOM' })
  })

  test('is asked about again after the system said that the disk is full', async () => {
    const file = await open()
    await file.write([Buffer.of(1)], 0)
    disk.before = (call) => {
      if (call === 'writev') throw systemError('ENOSPC')
    }
    await expect(file.write([Buffer.of(1)], 1)).rejects.toMatchObject({ code: 'SCRATCH_NO_ROOM' })
    const asked = disk.count('statfs')

    disk.before = () => {}
    await file.write([Buffer.of(1, 2)], 1)

    expect(disk.count('statfs')).toBe(asked + 1)
  })
})

/** The names that appeared in the directory meanwhile, as the kernel tells whoever watches it. */
const namesSeen = async (work: () => Promise<void>): Promise<string[]> => {
  const seen = new Set<string>()
  const watcher = watch(directory, { encoding: 'utf8' })
  const end = new Promise<void>((resolve) => {
    watcher.on('change', (event, name) => {
      // A write to a file without a name is told as well, as a "change" of `#` and its inode; a name comes as "rename".
      if (event === 'rename') seen.add(String(name))
      if (name === 'the-end') resolve()
    })
  })
  try {
    await work()
    writeFileSync(join(directory, 'the-end'), '') // events come in their order: nothing is still to come before it
    await end
  } finally {
    watcher.close()
  }
  return [...seen]
}

const linkOf = (fd: string): string | undefined => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return undefined // the descriptor with which /proc was read
  }
}
