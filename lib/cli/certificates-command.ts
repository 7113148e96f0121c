/**
 * `backup-agent certificates`: a private authority and certificates for a fleet, and the lines to put on each machine.
 *
 *     ca DIR                once, on a machine that is neither a database host nor reached by everybody
 *     server DIR NAME…      for each agent
 *     client DIR NAME       for each machine that fetches backups
 */

import { basename } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'

import {
  AUTHORITY_DAYS,
  LEAF_DAYS,
  type MadeCertificate,
  makeAuthority,
  makeCertificate,
} from '../certificates/index.ts'
import { DEFAULT_PORT } from '../config/index.ts'
import { runReported, table } from './report.ts'

interface MakingOptions {
  readonly days: number
  readonly json?: boolean
}

export const certificatesCommand = (): Command => {
  const command = new Command('certificates')
    .description('make a private authority, and certificates for agents and clients (needs openssl)')
    .addHelpText('after', EXAMPLES)
  for (const below of [caCommand(), serverCommand(), clientCommand()]) {
    command.addCommand(below.copyInheritedSettings(command))
  }
  return command
}

const EXAMPLES = `
Examples:
  backup-agent certificates ca fleet
  backup-agent certificates server fleet db1.example.com 192.0.2.7
  backup-agent certificates client fleet nightly
      each prints what to copy, and the lines of the configuration that belong to it

Whoever has fleet/ca.key can be every agent and every client: keep it on a machine of its own. Nothing is overwritten.`

const DIRECTORY = ['<DIR>', 'where the authority and all certificates are kept'] as const

const caCommand = (): Command =>
  withOptions(new Command('ca').description('make the authority that signs all others'), AUTHORITY_DAYS)
    .argument(...DIRECTORY)
    .action((directory: string, options: MakingOptions) =>
      report(options, () => makeAuthority(directory, options.days, Date.now()), afterAuthority),
    )

const serverCommand = (): Command =>
  withOptions(new Command('server').description('make the certificate of an agent'), LEAF_DAYS)
    .argument(...DIRECTORY)
    .argument('<NAME...>', 'names and addresses by which clients ask it, the usual one first')
    .action((directory: string, names: readonly string[], options: MakingOptions) =>
      report(
        options,
        () => makeCertificate(directory, { kind: 'server', names, days: options.days }, Date.now()),
        afterServer,
      ),
    )

const clientCommand = (): Command =>
  withOptions(new Command('client').description('make the certificate of a client'), LEAF_DAYS)
    .argument(...DIRECTORY)
    .argument('<NAME>', 'by which agents know it')
    .action((directory: string, name: string, options: MakingOptions) =>
      report(
        options,
        () => makeCertificate(directory, { kind: 'client', names: [name], days: options.days }, Date.now()),
        afterClient,
      ),
    )

const withOptions = (command: Command, days: number): Command =>
  command
    .addOption(new Option('--days <N>', 'how long it is valid').default(days).argParser(parseDays))
    .option('--json', 'print the result as JSON')

const MAX_DAYS = 36_500

const parseDays = (text: string): number => {
  const days = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (days >= 1 && days <= MAX_DAYS) return days
  throw new InvalidArgumentError(`Expected a whole number of days, 1 to ${MAX_DAYS}.`)
}

const report = (
  { json = false }: MakingOptions,
  make: () => Promise<MadeCertificate>,
  after: (made: MadeCertificate) => string,
): Promise<void> =>
  runReported({
    json,
    stream: process.stdout,
    work: make,
    asJson: (made) => ({ status: 'MADE', ...made }),
    forPeople: (made) =>
      `${table([
        ['made', made.certificate],
        ['key', made.key],
        ['names', made.names.join(', ')],
        ['until', `${made.until.slice(0, 10)}${made.isShortened ? ', as long as the authority' : ''}`],
      ])}\n${after(made)}`,
  })

const afterAuthority = ({ certificate, key }: MadeCertificate): string =>
  `${certificate} goes to every agent and every client. ${key} stays here: whoever has it can be any of them.\n`

const HOME = '/etc/kv-backup-agent'

const afterServer = ({ certificate, key, names }: MadeCertificate): string => {
  const [crt, secret, name = ''] = [basename(certificate), basename(key), names[0]]
  return `On ${name}, as root, with ca.crt, ${crt} and ${secret} copied there:
  install -m 0644 ca.crt ${crt} ${HOME}/
  install -m 0400 -o mysql ${secret} ${HOME}/
and in ${HOME}/agent.toml:
  listen = "0.0.0.0:${DEFAULT_PORT}"
  tls-cert = "${HOME}/${crt}"
  tls-key = "${HOME}/${secret}"
  tls-client-ca = "${HOME}/ca.crt"
The packaged service answers this host alone until it has IPAddressAllow= for the clients: systemctl edit kv-backup-agent
`
}

const afterClient = ({ certificate, key }: MadeCertificate): string =>
  `On the client, with ca.crt, ${basename(certificate)} and ${basename(key)} (mode 0400) copied there:
  backup-client fetch HOST --tls-ca ca.crt --tls-cert ${basename(certificate)} --tls-key ${basename(key)} …
`
