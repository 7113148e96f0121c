/** Door of the room `config`: what the operator decided. */

export * from './agent-settings.ts'
export { PRODUCT, PRODUCT_VERSION } from './product.ts'
export { defaultStateDirectory, ownStateDirectory, STATE_DIRECTORY_RULE } from './state-directory.ts'
