/** The same JSON in as many bytes as it can take without white space: everything escaped. */
export function widestJson(value: object): string {
  return JSON.stringify(value).replaceAll(/"([^"\\]*)"/g, (_, text: string) => {
    const units = Array.from({ length: text.length }, (__, i) => text.charCodeAt(i));
    return `"${units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('')}"`;
  });
}
