/** Ends whatever it is put into: an attribute, an element, a script, a line. */
export const HOSTILE_STATE = `"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\u2028é`;
