/** Door of the room `config`: what the operator decided. */

export * from './agent-settings.ts'
export type { Environment } from './environment.ts'
export { isExposed, isLoopback, refuseExposure } from './exposure.ts'
export { suggestion } from './mistakes.ts'
export { type IpAddress, isInNetwork, type Network, readIpAddress, readNetwork } from './network.ts'
export { argumentProblem, type OptionSet } from './option-set.ts'
export { PRODUCT, PRODUCT_VERSION } from './product.ts'
export {
  type Configuration,
  type ConfigurationSources,
  DEFAULT_CONFIG_FILE,
  type Effective,
  type Known,
  placeOf,
  readConfiguration,
  type Source,
} from './read-configuration.ts'
export { MAIN_INSTANCE, type Role, ROLE_ACTIONS, type RoleAction } from './role.ts'
export * from './schema.ts'
export { settingsOf } from './settings-of.ts'
export { defaultStateDirectory, ownStateDirectory, STATE_DIRECTORY_RULE } from './state-directory.ts'
export {
  type Address,
  type CountUnit,
  type Form,
  formatBytes,
  type Reading,
  readAddress,
  readCount,
} from './value-forms.ts'
