/** What is used of an optional peer, so that the project is checked without it. */
declare module '@azure/identity' {
  export class DefaultAzureCredential {
    getToken(
      scope: string,
      options?: { readonly abortSignal?: AbortSignal },
    ): Promise<{ readonly token: string } | null>;
  }
}
