/**
 * Roles: what a client may ask, and by what it is known to have the role.
 *
 *     [role.nightly]
 *     actions = ["backup", "status", "verdict"]     left out: all of them
 *     instances = ["shop"]                          left out: every server; "@main" is the one without a name
 *     option-sets = ["replica"]                     left out: every set
 *     addresses = ["192.0.2.0/24"]                  left out: from anywhere
 *     certificates = ["backup1.example.org"]        names of verified client certificates
 *     without-token = false                         true: the addresses alone suffice
 *
 * A token names its role by itself, in the file of tokens. As soon as there is one role, whoever has none
 * is refused. Plain data and forms; what must fit together is in `check-roles.ts`. Pure.
 */

import { readNetwork } from './network.ts'
import { FLAG, type Form, type Reading } from './value-forms.ts'

/** Everything that can be allowed; `ping` is for everybody. */
export const ROLE_ACTIONS = ['backup', 'status', 'verdict', 'cancel', 'monitor'] as const
export type RoleAction = (typeof ROLE_ACTIONS)[number]

/** The server that has no name, in a list of instances. No instance can be called so. */
export const MAIN_INSTANCE = '@main'

export interface Role {
  /** Left out: all, as the lists below. */
  readonly actions?: readonly RoleAction[] | undefined
  readonly instances?: readonly string[] | undefined
  readonly optionSets?: readonly string[] | undefined
  /** Numeric networks. They restrict whoever has the role, however they show it. */
  readonly addresses?: readonly string[] | undefined
  /** Exact names, or `*.` and a domain of at least two labels: then one label stands for the star. */
  readonly certificates?: readonly string[] | undefined
  /** Whoever asks from one of the addresses has the role. */
  readonly withoutToken?: boolean | undefined
}

const listForm = (expected: string, problemOf: (item: string) => string | undefined): Form<readonly string[]> => ({
  fromText: () => ({ problem: 'expected in the file only' }),
  fromFile: (value): Reading<readonly string[]> => {
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
      return { problem: `expected a list, ${expected}` }
    }
    const problem = value.map(problemOf).find((found) => found !== undefined)
    return problem === undefined ? { value } : { problem }
  },
  show: (items) => items.join(', '),
})

/** Whether a name means something is found out when the whole file is known. */
const NAMES = (expected: string): Form<readonly string[]> => listForm(expected, () => undefined)

const networkProblem = (text: string): string | undefined => {
  const reading = readNetwork(text)
  return 'problem' in reading ? reading.problem : undefined
}

const MAX_CERTIFICATE_NAME = 253
const CONTROL_OR_STAR = /[\u0000-\u001f\u007f-\u009f*]/
/** One star, for one whole label, before a domain that is not a mere top-level one. */
const WILDCARD = /^\*(?:\.[A-Za-z0-9_-]{1,63}){2,}$/

const certificateProblem = (name: string): string | undefined =>
  name !== '' && name.length <= MAX_CERTIFICATE_NAME && (!CONTROL_OR_STAR.test(name) || WILDCARD.test(name))
    ? undefined
    : 'expected names of certificates, as in "backup1.example.org" or "*.backup.example.org"'

export const ROLE_KEYS = {
  actions: {
    form: NAMES('as in ["backup", "status"]'),
    help: `what the role may ask for: ${ROLE_ACTIONS.join(', ')} (left out: all)`,
  },
  instances: {
    form: NAMES('as in ["shop"]'),
    help: `which servers it may ask about; \`${MAIN_INSTANCE}\` is the one without a name (left out: all)`,
  },
  'option-sets': { form: NAMES('as in ["replica"]'), help: 'which `[options.NAME]` it may choose (left out: all)' },
  addresses: {
    form: listForm('as in ["192.0.2.0/24"]', networkProblem),
    help: 'numeric networks from which it may be used (left out: any)',
  },
  certificates: {
    form: listForm('as in ["backup1.example.org"]', certificateProblem),
    help: 'names of verified client certificates that have the role; `*.` stands for one label',
  },
  'without-token': { form: FLAG, help: 'whoever asks from one of the `addresses` has the role' },
} as const

/** What the file says of a role. */
export interface RoleValues {
  readonly actions?: readonly string[]
  readonly instances?: readonly string[]
  readonly 'option-sets'?: readonly string[]
  readonly addresses?: readonly string[]
  readonly certificates?: readonly string[]
  readonly 'without-token'?: boolean
}

/** Of values in which no mistake was found. */
export const roleOf = (values: RoleValues): Role => ({
  actions: values.actions as readonly RoleAction[] | undefined,
  instances: values.instances,
  optionSets: values['option-sets'],
  addresses: values.addresses,
  certificates: values.certificates,
  withoutToken: values['without-token'] ?? false,
})
