/**
 * Certificates for tests, made by the openssl program when they are needed: good ones, and each kind of bad one.
 *
 *     const authority = TestAuthority.make(directory)
 *     authority.issue('db1', { names: ['DNS:db1', 'IP:127.0.0.1'] })     { certificate, key }
 *
 * By a way of its own (`openssl ca`), which lets a certificate have any time; not by the product's.
 */

import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface TestIdentity {
  readonly certificate: string
  readonly key: string
}

export interface Issue {
  /** As openssl writes them: `DNS:db1`, `IP:127.0.0.1`. */
  readonly names?: readonly string[]
  readonly from?: Date
  readonly until?: Date
  /** `serverAuth`, `clientAuth` */
  readonly purpose?: string
  readonly isAuthority?: boolean
}

const DAY_MS = 86_400_000
export const daysFromNow = (days: number): Date => new Date(Date.now() + days * DAY_MS)

export class TestAuthority {
  readonly #home: string
  readonly #own: TestIdentity
  readonly certificate: string

  private constructor(home: string, own: TestIdentity) {
    this.#home = home
    this.#own = own
    this.certificate = own.certificate
  }

  static make(directory: string, name = 'authority'): TestAuthority {
    const home = join(directory, name)
    mkdirSync(home)
    const own = { certificate: join(home, 'ca.crt'), key: join(home, 'ca.key') }
    openssl([
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`],
      ...['-days', '30', '-keyout', own.key, '-out', own.certificate],
    ])
    chmodSync(own.key, 0o600)
    return TestAuthority.#under(home, own)
  }

  static #under(home: string, own: TestIdentity): TestAuthority {
    mkdirSync(join(home, 'issued'))
    writeFileSync(join(home, 'index.txt'), '')
    return new TestAuthority(home, own)
  }

  /** An authority below this one. */
  below(name: string): TestAuthority {
    const own = this.issue(name, { isAuthority: true })
    const home = join(this.#home, `${name}.d`)
    mkdirSync(home)
    return TestAuthority.#under(home, own)
  }

  /** Its name is the common name, and the only DNS name unless others are said. */
  issue(name: string, issue: Issue = {}): TestIdentity {
    const { names = [`DNS:${name}`], from = daysFromNow(-1), until = daysFromNow(29), purpose, isAuthority } = issue
    const made = { certificate: join(this.#home, `${name}.crt`), key: join(this.#home, `${name}.key`) }
    const request = join(this.#home, `${name}.csr`)
    openssl([
      ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`],
      ...['-keyout', made.key, '-out', request],
    ])
    chmodSync(made.key, 0o600)
    const config = join(this.#home, `${name}.cnf`)
    writeFileSync(
      config,
      `[ca]
default_ca = here
[here]
database = ${this.#home}/index.txt
new_certs_dir = ${this.#home}/issued
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
[made]
basicConstraints = critical, CA:${isAuthority === true ? 'TRUE' : 'FALSE'}
${names.length === 0 ? '' : `subjectAltName = ${names.join(', ')}`}
${purpose === undefined ? '' : `extendedKeyUsage = ${purpose}`}
`,
    )
    openssl([
      ...[
        'ca',
        '-batch',
        '-notext',
        '-config',
        config,
        '-extensions',
        'made',
        '-in',
        request,
        '-out',
        made.certificate,
      ],
      ...['-cert', this.#own.certificate, '-keyfile', this.#own.key],
      ...['-startdate', stamp(from), '-enddate', stamp(until)],
    ])
    return made
  }
}

/** `20261126103000Z` */
const stamp = (date: Date): string => `${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`

const openssl = (args: readonly string[]): void => {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

/** One file of several, in this order. */
export const bundle = (path: string, ...files: readonly string[]): string => {
  writeFileSync(path, files.map((file) => readFileSync(file, 'utf8')).join(''))
  return path
}
