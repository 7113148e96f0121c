/**
 * `npm run deb`: builds dist/kv-backup-agent_VERSION_all.deb from dist/programs and this directory.
 *
 *     /usr/bin/backup-agent, backup-client       links to the programs
 *     /usr/lib/kv-backup-agent/                  dist/programs with the npm packages that are inside, and those that are not
 *     /usr/lib/systemd/system/, tmpfiles.d/      host/
 *     /etc/kv-backup-agent/agent.toml            a conffile, as /etc/logrotate.d/kv-backup-agent is
 *     /usr/share/doc/kv-backup-agent/            papers, copyright, sbom.cdx.json, examples/xinetd.conf
 *
 * Needs Debian's own dpkg-deb, no network and no root. The same sources give the same bytes: every time is
 * SOURCE_DATE_EPOCH, or that of the last commit; owners, modes and order do not depend on the machine.
 *
 *     node bin/packaging/build-deb.mjs [DIRECTORY]     where the package goes; dist/ without it
 */

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

import { OUTSIDE, packagesInside } from './bundled-packages.mjs'
import { debianCopyright } from './debian-copyright.mjs'
import { productionPackages } from './production-packages.mjs'
import { sbom } from './sbom.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const host = fileURLToPath(new URL('./host/', import.meta.url))
const debian = fileURLToPath(new URL('./debian/', import.meta.url))

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
/** `1.0.0-rc.1` is older than `1.0.0`: Debian writes that with a tilde. */
const version = manifest.version.replace('-', '~')

const HOME = 'usr/lib/kv-backup-agent'
const DOC = 'usr/share/doc/kv-backup-agent'

/** What Node reads. Not types, maps, settings of other tools, and programs compiled for other machines. */
const RUNS = /^[^.].*\.(js|cjs|mjs|json)$/
const LEGAL = /^(licen[cs]e|copying|notice)(\.(md|txt))?$/i
/** Folders at the top of a package that nothing loads. */
const NOT_LOADED = /^(tests?|__tests__|benchmarks?|examples?|docs?|prebuilds|\.github)$/

const main = () => {
  const stage = mkdtempSync(join(tmpdir(), 'kv-backup-agent-deb-'))
  try {
    layOut(stage, productionPackages(root, { only: OUTSIDE }))
    const sizeKib = measure(stage)
    describe(stage, sizeKib)
    const seconds = sourceDate()
    settle(stage, seconds)
    const out = join(resolve(process.argv[2] ?? join(root, 'dist')), `kv-backup-agent_${version}_all.deb`)
    build(stage, out, seconds)
    console.log(out)
  } finally {
    rmSync(stage, { recursive: true })
  }
}

/** Everything that is installed, in its place. */
const layOut = (stage, packages) => {
  const programs = join(root, 'dist/programs')
  // Maps are for those who change the code: names and lines are as they were without them.
  cpSync(programs, join(stage, HOME, 'dist/programs'), { recursive: true, filter: (path) => !path.endsWith('.map') })
  copy(join(root, 'package.json'), join(stage, HOME, 'package.json'))
  for (const { place, programs: commands } of packages) {
    copyCode(join(root, place), join(stage, HOME, place))
    for (const command of commands) rmSync(join(stage, HOME, place, command), { force: true })
  }

  mkdirSync(join(stage, 'usr/bin'), { recursive: true })
  for (const [name, path] of Object.entries(manifest.bin)) {
    const program = join(stage, HOME, path)
    // Debian's Node, whatever else a PATH may lead to.
    writeFileSync(program, readFileSync(program, 'utf8').replace(/^#!.*\n/, '#!/usr/bin/node\n'))
    symlinkSync(join('..', relative('usr', HOME), path), join(stage, 'usr/bin', name))
  }

  for (const unit of ['kv-backup-agent.service', 'kv-backup-agent.socket']) {
    copy(join(host, unit), join(stage, 'usr/lib/systemd/system', unit))
  }
  copy(join(host, 'tmpfiles.conf'), join(stage, 'usr/lib/tmpfiles.d/kv-backup-agent.conf'))
  copy(join(host, 'logrotate.conf'), join(stage, 'etc/logrotate.d/kv-backup-agent'))
  copy(join(host, 'agent.toml'), join(stage, 'etc/kv-backup-agent/agent.toml'))

  for (const paper of ['README.md', 'PROTOCOL.md', 'SECURITY.md', 'CHANGELOG.md']) {
    copy(join(root, paper), join(stage, DOC, paper))
  }
  copy(join(host, 'xinetd.conf'), join(stage, DOC, 'examples/xinetd.conf'))
  writeFileSync(join(stage, DOC, 'copyright'), debianCopyright(root, HOME, packagesInside(root, programs), packages))
  writeFileSync(join(stage, DOC, 'sbom.cdx.json'), sbom(root, { withTypes: false }))
  writeFileSync(join(stage, DOC, 'changelog.gz'), gzipSync(debianChangelog(), { level: 9 }))
  copy(join(debian, 'lintian-overrides'), join(stage, 'usr/share/lintian/overrides/kv-backup-agent'))
}

/** What dpkg reads: control, conffiles, checksums, and the scripts around an installation. */
const describe = (stage, sizeKib) => {
  const control = join(stage, 'DEBIAN')
  mkdirSync(control)
  const text = readFileSync(join(debian, 'control'), 'utf8')
  writeFileSync(join(control, 'control'), text.replace('@VERSION@', version).replace('@INSTALLED_SIZE@', sizeKib))
  const files = filesBelow(stage).filter((path) => !path.startsWith('DEBIAN/'))
  const conffiles = files.filter((path) => path.startsWith('etc/'))
  writeFileSync(join(control, 'conffiles'), conffiles.map((path) => `/${path}\n`).join(''))
  writeFileSync(
    join(control, 'md5sums'),
    files
      .filter((path) => !conffiles.includes(path) && lstatSync(join(stage, path)).isFile())
      .map(
        (path) =>
          `${createHash('md5')
            .update(readFileSync(join(stage, path)))
            .digest('hex')}  ${path}\n`,
      )
      .join(''),
  )
  for (const script of ['postinst', 'prerm', 'postrm', 'triggers']) copy(join(debian, script), join(control, script))
}

const debianChangelog = () =>
  `kv-backup-agent (${version}) unstable; urgency=medium\n\n  * See CHANGELOG.md in this directory.\n\n` +
  ` -- ${maintainer()}  ${new Date(sourceDate() * 1000).toUTCString().replace('GMT', '+0000')}\n`

const maintainer = () => /^Maintainer: (.*)$/m.exec(readFileSync(join(debian, 'control'), 'utf8'))?.[1] ?? ''

/** Seconds since 1970. Source: https://reproducible-builds.org/specs/source-date-epoch/ */
const sourceDate = () => {
  const given = process.env['SOURCE_DATE_EPOCH']
  if (given !== undefined && /^\d+$/.test(given)) return Number(given)
  const commit = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' })
  if (commit.status === 0 && /^\d+$/.test(commit.stdout.trim())) return Number(commit.stdout)
  return Math.floor(statSync(join(root, 'package.json')).mtimeMs / 1000)
}

/** Modes and times of everything, whatever the checkout's were. Deepest first: what is made in a directory touches it. */
const settle = (stage, seconds) => {
  const scripts = /^DEBIAN\/(postinst|prerm|postrm)$|^usr\/lib\/kv-backup-agent\/dist\/programs\/[^/]+\.cjs$/
  const below = readdirSync(stage, { recursive: true }).sort().reverse()
  for (const path of [...below, '.']) {
    const full = join(stage, path)
    const found = lstatSync(full)
    if (found.isDirectory()) chmodSync(full, path === 'etc/kv-backup-agent' ? 0o750 : 0o755)
    else if (found.isFile()) chmodSync(full, scripts.test(path) ? 0o755 : path.endsWith('agent.toml') ? 0o640 : 0o644)
    lutimesSync(full, seconds, seconds)
  }
}

const build = (stage, out, seconds) => {
  mkdirSync(dirname(out), { recursive: true })
  // One thread: how a file is cut up for several shows in the bytes.
  const options = ['--root-owner-group', '--uniform-compression', '-Zxz', '--threads-max=1']
  const run = spawnSync('dpkg-deb', [...options, '--build', stage, out], {
    encoding: 'utf8',
    env: { ...process.env, SOURCE_DATE_EPOCH: String(seconds), LC_ALL: 'C' },
  })
  if (run.status === 0) return
  throw new Error(`dpkg-deb failed: ${run.stderr ?? run.error?.message} (Debian's package dpkg has it)`)
}

/** KiB, each file rounded up and each directory counted as one. Source: Debian Policy, 5.6.20. */
const measure = (stage) =>
  readdirSync(stage, { recursive: true })
    .map((path) => lstatSync(join(stage, path)))
    .reduce((sum, found) => sum + (found.isFile() ? Math.ceil(found.size / 1024) : 1), 0)

const filesBelow = (directory) =>
  readdirSync(directory, { recursive: true })
    .filter((path) => !lstatSync(join(directory, path)).isDirectory())
    .sort()

const copy = (from, to) => {
  mkdirSync(dirname(to), { recursive: true })
  cpSync(from, to)
}

/** What runs, without the packages inside of a package: those are copied by their own place. */
const copyCode = (from, to) => {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) {
      const isTop = from.includes('/node_modules/') && /\/node_modules\/(@[^/]+\/)?[^/]+$/.test(from)
      if (entry.name !== 'node_modules' && !(isTop && NOT_LOADED.test(entry.name))) copyCode(source, target)
    } else if (RUNS.test(entry.name) || LEGAL.test(basename(entry.name))) copy(source, target)
  }
}

main()
