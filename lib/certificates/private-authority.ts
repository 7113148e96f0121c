/**
 * A small certificate authority of one's own, and certificates signed by it, for those who have none.
 *
 *     ca      DIR/ca.crt, DIR/ca.key              signs the others, and nothing below them (pathlen 0); 10 years
 *     server  DIR/server-db1.crt, .key            names and addresses that clients ask by
 *     client  DIR/client-nightly.crt, .key        one name, by which an agent knows the client
 *
 * Made by the program openssl: P-256 keys, SHA-256. A key is written into a file that nobody but its owner could
 * ever open, and no file is ever overwritten. There is no revocation: what is lost is outlived, or the authority
 * is made anew.
 */

import { randomUUID } from 'node:crypto'
import { type FileHandle, lstat, mkdir, open, stat, unlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import { runOpenssl } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { factsOf, readCertificates } from './certificate-facts.ts'
import { daysLeft } from './expiry.ts'
import { type IdentityFiles, readAuthorities, readIdentity } from './identity.ts'

export const AUTHORITY_DAYS = 3650
/** What many programs accept at most of a certificate that is shown. */
export const LEAF_DAYS = 825

export interface MadeCertificate {
  readonly certificate: string
  readonly key: string
  readonly names: readonly string[]
  /** ISO 8601. */
  readonly until: string
  /** It was to be valid for longer than the authority is. */
  readonly isShortened: boolean
}

const KEY_WORDS = ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']

/**
 * @param days how long it is valid
 * @throws BackupError `CERTIFICATE_EXISTS`, `CERTIFICATE_AUTHORITY`, `CERTIFICATE_MAKING`
 */
export const makeAuthority = async (directory: string, days: number, nowMs: number): Promise<MadeCertificate> => {
  const home = resolve(directory)
  await mkdir(home, { recursive: true, mode: 0o700 }).catch((cause: NodeJS.ErrnoException) => {
    throw unusable(home, `it cannot be made: ${cause.code}`, 'name another directory', cause)
  })
  await checkHome(home)
  const name = `kv-backup-agent authority of ${new Date(nowMs).toISOString().slice(0, 10)}`
  const extensions = ['basicConstraints = critical, CA:TRUE, pathlen:0', 'keyUsage = critical, keyCertSign, cRLSign']
  return makePair(home, 'ca', [name], requestText(name, extensions), ['-days', `${days}`])
}

export interface LeafOrder {
  readonly kind: 'server' | 'client'
  /** The first one also names the files. */
  readonly names: readonly string[]
  readonly days: number
}

/** @throws BackupError `CLI_USAGE` for a name that cannot be; `CERTIFICATE_*` */
export const makeCertificate = async (
  directory: string,
  { kind, names, days }: LeafOrder,
  nowMs: number,
): Promise<MadeCertificate> => {
  const home = resolve(directory)
  const alternatives = names.map(alternativeName)
  await checkHome(home)
  const [authority, key] = [join(home, 'ca.crt'), join(home, 'ca.key')]
  const left = await authorityDays(home, { certificate: authority, key }, nowMs)
  const [first = ''] = names
  const extensions = [
    'basicConstraints = critical, CA:FALSE',
    'keyUsage = critical, digitalSignature',
    `extendedKeyUsage = ${kind}Auth`,
    'authorityKeyIdentifier = keyid',
    `subjectAltName = ${alternatives.join(', ')}`,
  ]
  // None outlives the one who signs it.
  const words = ['-CA', authority, '-CAkey', key, '-days', `${Math.min(days, left)}`]
  const file = `${kind}-${first.replace(/[^A-Za-z0-9._-]/g, '_')}`
  const request = requestText(first.length > MAX_COMMON_NAME ? kind : first, extensions)
  return { ...(await makePair(home, file, names, request, words)), isShortened: days > left }
}

/** Source: RFC 5280, appendix A.1, ub-common-name. */
const MAX_COMMON_NAME = 64

const requestText = (commonName: string, extensions: readonly string[]): string => `[req]
prompt = no
distinguished_name = whose
[whose]
CN = ${commonName}
[made]
subjectKeyIdentifier = hash
${extensions.join('\n')}
`

const makePair = async (
  home: string,
  file: string,
  names: readonly string[],
  request: string,
  words: readonly string[],
): Promise<MadeCertificate> => {
  const [certificate, key] = [join(home, `${file}.crt`), join(home, `${file}.key`)]
  const made: string[] = []
  const put = async (path: string, mode: number, text: string): Promise<void> => {
    const handle = await create(path, mode)
    made.push(path)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } catch (cause) {
      throw notWritten(path, cause)
    } finally {
      await handle.close()
    }
  }
  try {
    await put(certificate, 0o644, '') // its name is taken before the key is made for it
    await put(key, 0o600, await runOpenssl(KEY_WORDS))
    const signing = ['req', '-x509', '-new', '-sha256', '-config', '/dev/fd/3', '-extensions', 'made', '-key', key]
    const pem = await withFile(home, request, (descriptor) => runOpenssl([...signing, ...words], descriptor))
    const [own] = readCertificates(pem)
    if (own === undefined)
      throw new BackupError('CERTIFICATE_MAKING', 'openssl req ended well, and without a certificate')
    await unlink(certificate)
    await put(certificate, 0o644, pem)
    return { certificate, key, names, until: new Date(factsOf(own).untilMs).toISOString(), isShortened: false }
  } catch (error) {
    for (const path of new Set(made)) await unlink(path).catch(() => undefined)
    throw error
  }
}

/** A file that has lost its name before anything is in it. */
const withFile = async <Result>(
  home: string,
  content: string,
  use: (descriptor: number) => Promise<Result>,
): Promise<Result> => {
  const path = join(home, `.request-${randomUUID()}`)
  const failed = (cause: unknown): never => {
    throw notWritten(path, cause)
  }
  const file = await open(path, 'wx+', 0o600).catch(failed)
  try {
    await unlink(path)
    await file.writeFile(content).catch(failed)
    return await use(file.fd)
  } finally {
    await file.close()
  }
}

/** @throws BackupError `CERTIFICATE_EXISTS`, `CERTIFICATE_AUTHORITY` */
const create = async (path: string, mode: number): Promise<FileHandle> => {
  try {
    return await open(path, 'wx', mode) // exclusive: neither a file nor a link is followed or written over
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOSPC' || code === 'EDQUOT') throw notWritten(path, cause)
    if (code !== 'EEXIST') throw unusable(path, `it cannot be made: ${code}`, 'name a directory of your own', cause)
    const isCut = await isEmpty(path)
    const hint = isCut ? cutShort(path) : 'nothing is overwritten: move it away, or name another directory'
    throw new BackupError(
      'CERTIFICATE_EXISTS',
      `expected no file ${path}, found ${isCut ? 'an empty one' : 'one'}`,
      { path },
      {
        cause,
        hint,
      },
    )
  }
}

/** Its name is taken first, and filled last. */
const isEmpty = async (path: string): Promise<boolean> => (await lstat(path).catch(() => undefined))?.size === 0

/** Whether its certificate was lost or never made, nobody knows here: so nothing is to be removed. */
const cutShort = (path: string): string =>
  `put a copy of it there; or, if one was killed while making it: mv ${path} ${path}.cut, likewise the .crt or .key beside it, and make it again`

/** Whoever can write there can put another key in the place of one. */
const checkHome = async (home: string): Promise<void> => {
  const found = await stat(home).catch((cause: NodeJS.ErrnoException) => {
    throw unusable(home, cause.code === 'ENOENT' ? 'there is no such directory' : String(cause.code), FIRST, cause)
  })
  if (!found.isDirectory()) throw unusable(home, 'it is no directory', FIRST)
  const { uid, mode } = found
  const ourselves = process.geteuid?.() ?? 0
  if (uid !== ourselves && uid !== 0) throw unusable(home, `it belongs to user ${uid}`, 'name a directory of your own')
  if ((mode & 0o022) !== 0) throw unusable(home, 'others than its owner may write there', `chmod 0700 ${home}`)
}

const NO_KEY = 'sign where the authority was made, and its key is; who has lost it makes another authority'
const FIRST = 'make the authority first: backup-agent certificates ca DIR'

/** How long it can sign yet. Its key must be one that nobody else could read, and its own. */
const authorityDays = async (home: string, { certificate, key }: IdentityFiles, nowMs: number): Promise<number> => {
  const { certificates } = await readAuthorities(certificate, 'client').catch(async (cause: unknown) => {
    if (!(cause instanceof BackupError)) throw cause
    throw unusable(home, cause.message, (await isEmpty(certificate)) ? cutShort(certificate) : FIRST, cause)
  })
  const [own] = certificates
  const left = own === undefined ? 0 : daysLeft(factsOf(own), nowMs)
  if (left <= 0)
    throw unusable(home, `its authority ${certificate} has expired`, 'make another one in another directory')
  await readIdentity({ certificate, key }, 'agent', nowMs).catch(async (cause: unknown) => {
    if (!(cause instanceof BackupError)) throw cause
    const isMissing = (await lstat(key).catch(() => undefined)) === undefined
    throw unusable(home, cause.message, isMissing ? NO_KEY : (cause.hint ?? FIRST), cause)
  })
  return left
}

const unusable = (path: string, problem: string, hint: string, cause?: unknown): BackupError =>
  new BackupError('CERTIFICATE_AUTHORITY', `${path} cannot be used: ${problem}`, { path }, { cause, hint })

const notWritten = (path: string, cause: unknown): BackupError => {
  const { code = 'unknown error' } = cause as NodeJS.ErrnoException
  const isFull = code === 'ENOSPC' || code === 'EDQUOT'
  const hint = isFull ? 'free some space, and make it again' : 'name a directory that can be written to'
  return new BackupError(
    'CERTIFICATE_WRITE',
    `${path} cannot be written: ${code}`,
    { path, errno: code },
    { cause, hint },
  )
}

const LABEL = '[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?'
const DNS_NAME = new RegExp(String.raw`^(?:\*\.)?${LABEL}(?:\.${LABEL})*$`)

/** Many programs take a name that ends so for an address. Source: WHATWG URL, "ends in a number checker". */
const LIKE_AN_ADDRESS = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/i

/** `db1` -> `DNS:db1`. Only what cannot mean anything else in a configuration of openssl. */
const alternativeName = (name: string): string => {
  if (isAddress(name)) return `IP:${name}`
  if (name.length <= 253 && DNS_NAME.test(name) && !LIKE_AN_ADDRESS.test(name)) return `DNS:${name}`
  throw new BackupError(
    'CLI_USAGE',
    `expected the name or address of a host, found ${JSON.stringify(name.slice(0, 80))}`,
    {},
    { hint: 'as in db1, db1.example.com, 192.0.2.7 or fd00::7' },
  )
}

/** In its one spelling: what begins with a zero is octal to some programs. And not with a zone, which one host alone knows. */
const isAddress = (text: string): boolean =>
  text.includes(':')
    ? /^[0-9a-f:.]+$/i.test(text) && URL.canParse(`http://[${text}]`)
    : /^\d{1,3}(?:\.\d{1,3}){3}$/.test(text) &&
      text.split('.').every((part) => Number(part) <= 255 && String(Number(part)) === part)
