/** `npm run deb`: what is in the package, and what it does to a Debian when it comes, changes and goes. */

import { appendFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { mustRun, plainEnvironment } from '../rig/run-program.ts'
import { MinimalRoot } from './minimal-root.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const BUILDER = join(ROOT, 'bin/packaging/build-deb.mjs')
const { version, bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  version: string
  bin: Record<string, string>
}

const CONFIGURATION = '/etc/kv-backup-agent/agent.toml'
const STATE = '/var/lib/kv-backup-agent'

const isRoot = process.geteuid?.() === 0
const describeAsRoot = isRoot ? describe : describe.skip
if (!isRoot) {
  process.stderr.write('debian-package.test: NOT TRIED: installing and purging the package needs root (dpkg --root)\n')
}

let scratch: string
let deb: string

/** Builds it as another machine would: in another place, under another umask. */
const build = async (name: string, umask: string): Promise<string> => {
  const script = `umask ${umask} && exec "$0" "$@"`
  const run = await mustRun('sh', ['-c', script, process.execPath, BUILDER, join(scratch, name)], {
    environment: { ...plainEnvironment(), TMPDIR: scratch },
  })
  return run.stdout.toString().trim()
}

beforeAll(async () => {
  scratch = makeGuardedDirectory('deb', '/var/tmp')
  deb = await build('one', '022')
})
afterAll(() => removeGuardedDirectory(scratch))

describe('the package', () => {
  test('has the same bytes when it is built again', async () => {
    const again = await build('two', '077')

    expect(readFileSync(again).equals(readFileSync(deb))).toBe(true)
  })

  test('says what it needs', async () => {
    const { stdout } = await mustRun('dpkg-deb', ['--field', deb])

    expect(stdout.toString()).toMatch(new RegExp(`^Package: kv-backup-agent\nVersion: ${version.replace('-', '~')}\n`))
    expect(stdout.toString()).toMatch(/^Architecture: all$/m)
    expect(stdout.toString()).toMatch(/^Depends: nodejs \(>= 20\.15\), passwd$/m)
  })

  test('belongs to root, and has programs, units and papers in their places', async () => {
    const { stdout } = await mustRun('dpkg-deb', ['--contents', deb])
    const lines = stdout.toString().trim().split('\n')
    const files = new Map(lines.map((line) => [line.slice(line.indexOf('./') + 1), line.split(/ +/).slice(0, 2)]))

    expect(lines.filter((line) => !/^\S+ root\/root /.test(line))).toEqual([])
    expect(files.get(CONFIGURATION)).toEqual(['-rw-r-----', 'root/root'])
    for (const [name, program] of Object.entries(bin)) {
      expect([...files.keys()]).toContain(`/usr/bin/${name} -> ../lib/kv-backup-agent/${program}`)
    }
    expect([...files.keys()]).toEqual(
      expect.arrayContaining([
        '/etc/logrotate.d/kv-backup-agent',
        '/usr/lib/systemd/system/kv-backup-agent.service',
        '/usr/lib/systemd/system/kv-backup-agent.socket',
        '/usr/lib/tmpfiles.d/kv-backup-agent.conf',
        '/usr/share/doc/kv-backup-agent/copyright',
        '/usr/share/doc/kv-backup-agent/changelog.gz',
        '/usr/share/doc/kv-backup-agent/examples/xinetd.conf',
      ]),
    )
  })

  test('has the run-time packages of the lockfile with their licences, and no other', async () => {
    const { stdout } = await mustRun('dpkg-deb', ['--contents', deb])
    const copyright = (
      await mustRun('sh', [
        '-c',
        'dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/share/doc/kv-backup-agent/copyright',
        'sh',
        deb,
      ])
    ).stdout.toString()
    const places = [
      ...stdout
        .toString()
        .matchAll(/ \.\/usr\/lib\/kv-backup-agent\/(\S*node_modules\/(@[^/]+\/)?[^/]+)\/package\.json$/gm),
    ]
      .map(([, place = '']) => place)
      .filter((place, at, all) => all.indexOf(place) === at)

    const inside = packagesInside()

    expect(inside).toEqual(
      expect.arrayContaining(['node_modules/commander', 'node_modules/execa', 'node_modules/pino']),
    )
    expect(places).toEqual(expect.arrayContaining(['node_modules/mariadb']))
    expect(inside.filter((place) => places.includes(place))).toEqual([])
    expect(
      [...inside, ...places].filter((place) =>
        /\/(jest|typescript|fast-check|@biomejs|@types|rolldown)(\/|$)/.test(place),
      ),
    ).toEqual([])
    expect(places.filter((place) => !copyright.includes(`Files: usr/lib/kv-backup-agent/${place}/*\n`))).toEqual([])
    for (const place of inside) {
      const { name, version: ofPackage } = JSON.parse(readFileSync(join(ROOT, place, 'package.json'), 'utf8'))
      const [, licence] = new RegExp(`^ ${name} ${ofPackage} \\((\\S+)\\),?$`, 'm').exec(copyright) ?? []
      expect({ place, licence }).toEqual({ place, licence: expect.stringMatching(/^[A-Z]/) })
      expect(copyright).toMatch(new RegExp(`^License: ${licence}\n \\S`, 'm')) // with its text
    }
  })
})

/** Packages whose modules are in the programs, as their source maps tell. */
const packagesInside = (): string[] => {
  const programs = join(ROOT, 'dist/programs')
  const sources = readdirSync(programs, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.map'))
    .flatMap((name) => (JSON.parse(readFileSync(join(programs, name), 'utf8')) as { sources: string[] }).sources)
  return [...new Set(sources.flatMap((source) => /node_modules\/(@[^/]+\/)?[^/]+/.exec(source)?.[0] ?? []))]
}

describeAsRoot('on a Debian without systemd', () => {
  let root: MinimalRoot
  let before: string[]

  beforeAll(async () => {
    root = await MinimalRoot.make()
    before = await root.listing()
  })
  afterAll(() => root.remove())

  /** `owner group mode` as the root's own files name them. */
  const ownerOf = async (path: string): Promise<string> =>
    (await root.run('/usr/bin/stat', '-c', '%U %G %a', path)).stdout.toString().trim()

  const account = async (): Promise<string> => (await root.run('/usr/bin/getent', 'passwd', 'mysql')).stdout.toString()

  test('it installs: the programs run, the user is there, and nobody else may read the configuration', async () => {
    await root.dpkg('--install', deb)

    for (const program of Object.keys(bin)) {
      const run = await root.run(`/usr/bin/${program}`, '--version')
      expect({ said: run.stdout.toString().trim(), stderr: run.stderr }).toEqual({ said: version, stderr: '' })
    }
    expect(await account()).toMatch(
      /^mysql:x:\d+:\d+:MySQL user made by kv-backup-agent:\/nonexistent:\/usr\/sbin\/nologin\n$/,
    )
    expect(await ownerOf(CONFIGURATION)).toBe('root mysql 640')
    expect(await ownerOf('/etc/kv-backup-agent')).toBe('root mysql 750')
    expect(await ownerOf(STATE)).toBe('mysql mysql 700')
    expect(await ownerOf('/var/log/kv-backup-agent')).toBe('mysql mysql 750')
    expect(await ownerOf('/usr/lib/kv-backup-agent/dist/programs/backup-agent.cjs')).toBe('root root 755')
    expect(await ownerOf('/usr/lib/kv-backup-agent/dist/programs/parts/core.cjs.cache')).toBe('root root 644')
  })

  test('nothing is enabled by it', async () => {
    const { stdout } = await root.run('/usr/bin/find', '/etc/systemd', '-name', '*kv-backup-agent*')

    expect(stdout.toString()).toBe('')
  })

  test('installed again, it leaves what the operator has changed', async () => {
    appendFileSync(root.outside(CONFIGURATION), '\nengine = "directory"\n')

    await root.dpkg('--install', deb)

    expect(readFileSync(root.outside(CONFIGURATION), 'utf8')).toMatch(/\nengine = "directory"\n$/)
    expect(await ownerOf(CONFIGURATION)).toBe('root mysql 640')
  })

  test('removed, it leaves the configuration and the history, and no program', async () => {
    writeFileSync(root.outside(`${STATE}/history-000001.jsonl`), '{}\n', { mode: 0o600 })

    await root.dpkg('--remove', 'kv-backup-agent')

    expect(existsSync(root.outside('/usr/bin/backup-agent'))).toBe(false)
    expect(existsSync(root.outside('/usr/lib/kv-backup-agent'))).toBe(false)
    expect(existsSync(root.outside(CONFIGURATION))).toBe(true)
    expect(existsSync(root.outside(`${STATE}/history-000001.jsonl`))).toBe(true)
  })

  test('purged, it leaves nothing: no file, no user, no group', async () => {
    await root.dpkg('--purge', 'kv-backup-agent')

    expect(await root.listing()).toEqual(before)
    expect(await account()).toBe('')
    expect(readFileSync(root.outside('/etc/group'), 'utf8')).not.toMatch(/^mysql:/m)
  })

  test('purged, it leaves the user of a server, a backup, and a login that the operator put there', async () => {
    await root.run('/usr/sbin/groupadd', '--system', 'mysql')
    await root.run('/usr/sbin/useradd', '--system', '--gid', 'mysql', '--comment', 'MariaDB Server', 'mysql')
    await root.dpkg('--install', deb)
    writeFileSync(root.outside(`${STATE}/db1.tar`), 'a backup')
    writeFileSync(root.outside(`${STATE}/history-000001.jsonl`), '{}\n')
    writeFileSync(root.outside('/etc/kv-backup-agent/login.cnf'), '[client]\n')
    writeFileSync(root.outside('/etc/kv-backup-agent/tokens'), '# written by the agent\n')

    const { stderr } = await root.dpkg('--purge', 'kv-backup-agent')

    expect(readFileSync(root.outside(`${STATE}/db1.tar`), 'utf8')).toBe('a backup')
    expect(existsSync(root.outside(`${STATE}/history-000001.jsonl`))).toBe(false)
    expect(existsSync(root.outside('/etc/kv-backup-agent/login.cnf'))).toBe(true)
    expect(existsSync(root.outside(CONFIGURATION))).toBe(false)
    expect(existsSync(root.outside('/etc/kv-backup-agent/tokens'))).toBe(false)
    expect(await account()).toMatch(/MariaDB Server/)
    expect(stderr).toContain(`${STATE} is kept`)
    expect(stderr).toContain('/etc/kv-backup-agent is kept')
  })
})

test('the builder is not for those who only install the package', () => {
  expect(statSync(BUILDER).isFile()).toBe(true)
  expect(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).files).not.toContain('bin/packaging')
})
