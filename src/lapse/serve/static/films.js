// The REST interface of the service, and films as grey values.
const RETRIES = 20, MAX_FILES = 32;
let token = "";

export class ServiceError extends Error {
  constructor(code, message, values) {
    super(message);
    this.code = code;
    this.values = values;
  }
}

export function setToken(value) { token = value; }

// One request. A service that is busy says when to try again.
export async function call(method, path, { body, type, onWait = () => {} } = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (type) headers["Content-Type"] = type;
  for (let attempt = 0; ; attempt += 1) {
    const response = await fetch(path, { method, headers, body, credentials: "omit" });
    if (response.ok) return response;
    const values = (await response.json()).error;
    if (response.status !== 503 || values.code === "stopping" || attempt >= RETRIES) {
      throw new ServiceError(values.code, values.message, values);
    }
    const seconds = Math.min(10, Number(response.headers.get("Retry-After")) || 1);
    onWait(seconds);
    await new Promise((resolve) => { setTimeout(resolve, 1000 * seconds); });
  }
}

export const post = async (path, values, options = {}) => (await call("POST", path,
  { ...options, body: JSON.stringify(values), type: "application/json" })).json();

// Send a file and fetch the picture that the service made of it.
export async function sendFilm(file, options) {
  const answer = await (await call("POST", "/api/films",
    { ...options, body: file, type: "application/octet-stream" })).json();
  const picture = await (await call("GET", `/api/films/${answer.id}/picture`, options)).blob();
  const bitmap = await createImageBitmap(picture);
  return { ...answer, file, name: file.name, ...greyOf(bitmap) };
}

// Send an expired film again; its picture is the same.
export async function sendAgain(film, options) {
  const answer = await (await call("POST", "/api/films",
    { ...options, body: film.file, type: "application/octet-stream" })).json();
  film.id = answer.id;
}

export const forget = (film) => call("DELETE", `/api/films/${film.id}`).catch(() => {});

function greyOf(bitmap) {
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const colors = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  const grey = new Uint8Array(bitmap.width * bitmap.height);
  for (let index = 0; index < grey.length; index += 1) grey[index] = colors[4 * index];
  return { grey, columns: bitmap.width, rows: bitmap.height };
}

// All files of a drop, those of folders included.
export async function droppedFiles(transfer) {
  const entries = Array.from(transfer.items || [], (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return Array.from(transfer.files);
  const files = [];
  while (entries.length && files.length <= MAX_FILES) {
    const entry = entries.shift();
    if (entry.isFile) {
      files.push(await new Promise((resolve, reject) => { entry.file(resolve, reject); }));
      continue;
    }
    const reader = entry.createReader();
    for (let part; (part = await new Promise((resolve, reject) => {
      reader.readEntries(resolve, reject);
    })).length;) entries.push(...part);
  }
  return files;
}

// Files by name, with numbers in the order of their values; hidden files are not films.
export function sortedFiles(files) {
  const order = new Intl.Collator("en", { numeric: true });
  const path = (file) => file.webkitRelativePath || file.name;
  return files.filter((file) => !file.name.startsWith(".")).sort((a, b) => order.compare(path(a), path(b)));
}
