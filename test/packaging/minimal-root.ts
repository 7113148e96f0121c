/**
 * A small Debian in a directory, copied from this one: enough for dpkg to install a package there for real.
 *
 *     ROOT/usr/bin/…            dpkg, a shell, coreutils, perl, useradd and what they depend on, as dpkg lists it
 *     ROOT/usr/bin/node         the Node that runs the tests; dpkg is told of it as the package nodejs
 *     ROOT/var/lib/dpkg/status  the packages above, so that dependencies are checked and not forced
 *     ROOT/dev/null
 *
 * Installing goes by `dpkg --root=ROOT`, which runs the package's scripts in a chroot. There is no systemd in
 * it, and nothing of this machine: no service can start. Needs root and the right to chroot, no mount and no network.
 */

import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { mustRun, type ProgramRun, runProgram } from '../rig/run-program.ts'

/** What the scripts of a package may count on: the essential packages that they use, and what they depend on. */
const NEEDED = [
  'base-passwd',
  'coreutils',
  'dash',
  'debianutils',
  'dpkg',
  'findutils',
  'grep',
  'init-system-helpers',
  'libc-bin',
  'login',
  'passwd',
  'perl-base',
  'sed',
  'tar',
]

/** For people, and large. */
const LEFT_OUT = /^\/usr\/share\/(doc|man|info|locale|lintian|i18n|zoneinfo)\/|\/gconv\/|^\/usr\/lib\/locale\//

/** Directories that are links on a Debian of today. */
const MERGED = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']

export class MinimalRoot {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  static async make(): Promise<MinimalRoot> {
    const path = makeGuardedDirectory('minimal-root', '/var/tmp')
    chmodSync(path, 0o755) // other users live in it
    const root = new MinimalRoot(path)
    const packages = await withDependencies(NEEDED)
    await root.#copyFiles(packages)
    await root.#copyNode()
    await root.#tellDpkg(packages)
    await root.#makePlaces()
    return root
  }

  /** A path as it is outside. */
  outside(path: string): string {
    return join(this.path, path)
  }

  /** Runs dpkg on this root. @throws Error when it fails */
  dpkg(...words: readonly string[]): Promise<ProgramRun> {
    return mustRun('dpkg', [`--root=${this.path}`, '--force-confold', ...words], { environment: INSIDE })
  }

  /** Runs a program in it. */
  run(program: string, ...words: readonly string[]): Promise<ProgramRun> {
    return runProgram('chroot', [this.path, program, ...words], { environment: INSIDE })
  }

  /** Everything there is but dpkg's own notes: `path mode owner:group`, sorted. */
  async listing(): Promise<string[]> {
    const { stdout } = await mustRun('find', [this.path, '-printf', '%P %y%m %U:%G\n'])
    return stdout
      .toString()
      .split('\n')
      .filter(
        (line) =>
          line !== '' && !/^var\/(lib\/dpkg|log)\/|^etc\/(passwd|group|shadow|gshadow|\.pwd\.lock)-? |^ d/.test(line),
      )
      .sort()
  }

  remove(): Promise<void> {
    return removeGuardedDirectory(this.path)
  }

  async #copyFiles(packages: readonly string[]): Promise<void> {
    for (const name of MERGED) {
      if (existsSync(`/${name}`) && lstatSync(`/${name}`).isSymbolicLink()) {
        const target = readlinkSync(`/${name}`)
        mkdirSync(this.outside(target), { recursive: true })
        symlinkSync(target, this.outside(name))
      }
    }
    const { stdout } = await mustRun('dpkg-query', ['--listfiles', ...packages])
    const files = stdout
      .toString()
      .split('\n')
      .filter((file) => file.startsWith('/') && !LEFT_OUT.test(file) && exists(file) && !lstatSync(file).isDirectory())
    const list = files.map((file) => `.${file}\n`).join('')
    await mustRun('sh', ['-c', 'tar -C / -cf - --files-from=- | tar -C "$1" -xf -', 'sh', this.path], { input: list })
  }

  async #copyNode(): Promise<void> {
    copyInto(process.execPath, this.outside('/usr/bin/node'))
    const { stdout } = await mustRun('ldd', [process.execPath])
    for (const [, library = ''] of stdout.toString().matchAll(/(\/\S+) \(0x/g)) {
      if (!existsSync(this.outside(library))) copyInto(library, this.outside(library))
    }
  }

  async #tellDpkg(packages: readonly string[]): Promise<void> {
    const { stdout } = await mustRun('dpkg-query', ['--status', ...packages])
    const node = [
      'Package: nodejs',
      'Status: install ok installed',
      'Maintainer: nobody <nobody@localhost>',
      'Architecture: all',
      `Version: ${process.versions.node}`,
      'Description: the Node that runs the tests',
    ]
    mkdirSync(this.outside('/var/lib/dpkg/info'), { recursive: true })
    mkdirSync(this.outside('/var/lib/dpkg/updates'))
    writeFileSync(this.outside('/var/lib/dpkg/status'), `${stdout.toString().trimEnd()}\n\n${node.join('\n')}\n`)
    for (const name of [...(await namesWithArchitecture(packages)), 'nodejs']) {
      writeFileSync(this.outside(`/var/lib/dpkg/info/${name}.list`), '') // who has which file is of no interest here
    }
    writeFileSync(this.outside('/var/lib/dpkg/info/format'), '1\n')
  }

  async #makePlaces(): Promise<void> {
    for (const directory of [
      'dev',
      'etc/systemd/system',
      'root',
      'run',
      'tmp',
      'var/tmp',
      'var/log',
      'var/lib/systemd',
    ]) {
      mkdirSync(this.outside(directory), { recursive: true })
    }
    copyFileSync(this.outside('/usr/share/base-passwd/passwd.master'), this.outside('/etc/passwd'))
    copyFileSync(this.outside('/usr/share/base-passwd/group.master'), this.outside('/etc/group'))
    for (const name of ['shadow', 'gshadow']) writeFileSync(this.outside(`/etc/${name}`), '', { mode: 0o640 })
    await mustRun('mknod', ['-m', '666', this.outside('/dev/null'), 'c', '1', '3'])
  }
}

/** What a service manager would give, and no trace of this machine. */
const INSIDE = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
  DEBIAN_FRONTEND: 'noninteractive',
}

const exists = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined

const copyInto = (from: string, to: string): void => {
  mkdirSync(dirname(to), { recursive: true })
  copyFileSync(from, to) // follows links
  chmodSync(to, 0o755)
}

/** `libc6:amd64` for a package of which several architectures may be installed. */
const namesWithArchitecture = async (packages: readonly string[]): Promise<string[]> => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own form
  const { stdout } = await mustRun('dpkg-query', ['--show', '--showformat=${binary:Package}\n', ...packages])
  return stdout.toString().trim().split('\n')
}

/** Names of installed packages; of alternatives, those that are installed. */
const withDependencies = async (names: readonly string[]): Promise<string[]> => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own form
  const format = '${db:Status-Status}\t${Package}\t${Pre-Depends}, ${Depends}\n'
  const { stdout } = await mustRun('dpkg-query', ['--show', `--showformat=${format}`])
  const dependencies = new Map<string, string[]>()
  for (const line of stdout.toString().split('\n')) {
    const [status, name = '', relations = ''] = line.split('\t')
    if (status !== 'installed') continue
    dependencies.set(
      name,
      [...relations.matchAll(/([a-z0-9][a-z0-9+.-]+)(?: \([^)]*\)|:any)?/g)].map(([, one = '']) => one),
    )
  }
  const found = new Set<string>()
  const follow = (name: string): void => {
    const next = dependencies.get(name)
    if (next === undefined || found.has(name)) return
    found.add(name)
    next.forEach(follow)
  }
  names.forEach(follow)
  return [...found].sort()
}
