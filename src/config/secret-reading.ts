/** What a reference led to; or the value itself, where it stood in the open. */
export type SecretReading =
  | { readonly value: string; readonly isLiteral: boolean; readonly warning?: string }
  | { readonly problem: string };
