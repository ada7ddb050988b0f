// A program of somebody else: it logs in, lists with filters, pages, creates, changes, qualifies and wins.
// The types come from openapi-typescript, and openapi-fetch sends the requests. See tests/integration/test_typescript_client.py.
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./api.js";

type Lead = components["schemas"]["LeadRead"];
type Status = components["schemas"]["LeadStatus"];

const [baseUrl, username, password] = process.argv.slice(2);
if (baseUrl === undefined || username === undefined || password === undefined) throw new Error("gateway, user, password");

const api = createClient<paths>({ baseUrl });

/** Returns the data of an answer, or fails with the problem's own words. */
function told<T>(answer: { data?: T; error?: { detail: string; type: string }; response: Response }): T {
  if (answer.error !== undefined) throw new Error(`${answer.error.type}: ${answer.error.detail}`);
  if (answer.data === undefined) throw new Error(`no data in ${answer.response.status}`);
  return answer.data;
}

function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(`not so: ${what}`);
}

const session = told(
  await api.POST("/api/v1/auth/token", {
    body: { grant_type: "password", username, password },
    bodySerializer: (body) => new URLSearchParams(Object.entries(body ?? {}).map(([key, value]) => [key, String(value)])),
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
  }),
);
const authorised: Middleware = {
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${session.access_token}`);
    return request;
  },
};
api.use(authorised);

const mark = crypto.randomUUID().slice(0, 8);
const made: Lead[] = [];
for (const amount of ["900.00", "1200.00", "5000.00"]) {
  const answer = await api.POST("/api/v1/leads", {
    params: { header: { "Idempotency-Key": crypto.randomUUID() } },
    body: {
      topic: `Gold card ${mark} ${amount}`,
      last_name: "Lovelace",
      address: { city: "Berlin", country: "DE" },
      estimated_value: { amount, currency: "EUR" },
    },
  });
  made.push(told(answer));
  expect(answer.response.headers.get("Location") !== null, "a new record has a Location");
}

// A list with filters of several kinds, page by page, with the fields that a list shows.
const open: Status = "open";
const found: string[] = [];
let after: string | undefined;
do {
  const page = told(
    await api.GET("/api/v1/leads", {
      params: {
        query: {
          status: open,
          topic: { contains: mark },
          "estimated_value.amount": { gte: "1000" },
          created_at: { gte: "2020-01-01T00:00:00Z" },
          sort: "-created_at",
          fields: "topic,status",
          limit: 1,
          count: "exact",
          ...(after === undefined ? {} : { after }),
        },
      },
    }),
  );
  expect(page.count === 2, `two leads of 1,000 or more, not ${page.count}`);
  for (const lead of page.items) {
    expect(lead.last_name === undefined, "a field that was not asked for is absent");
    found.push(lead.topic ?? "");
  }
  after = page.next ?? undefined;
} while (after !== undefined);
expect(found.length === 2, `two pages, not ${found.length}`);

const queried = told(
  await api.POST("/api/v1/leads/query", { body: { filter: { field: "topic", op: "contains", value: mark }, limit: 10 } }),
);
expect(queried.items.length === 3, "the query finds all three");

const [first] = made;
if (first === undefined) throw new Error("nothing was made");
const one = await api.GET("/api/v1/leads/{lead_id}", { params: { path: { lead_id: first.id } } });
const etag = one.response.headers.get("ETag") ?? "";
const changed = told(
  await api.PATCH("/api/v1/leads/{lead_id}", {
    params: { path: { lead_id: first.id }, header: { "If-Match": etag } },
    body: { rating: "hot", address: { city: "Potsdam" } },
  }),
);
expect(changed.rating === "hot" && changed.address?.city === "Potsdam" && changed.address.country === "DE", "a merge patch");

const stale = await api.PATCH("/api/v1/leads/{lead_id}", {
  params: { path: { lead_id: first.id }, header: { "If-Match": etag } },
  body: { rating: "cold" },
});
expect(stale.response.status === 412 && stale.error?.type === "/problems/stale", "an old version is refused");

const qualified = told(
  await api.POST("/api/v1/leads/{lead_id}/qualify", {
    params: { path: { lead_id: first.id } },
    body: { allow_duplicates: true },
  }),
);
const deal = qualified.opportunity_id;
if (deal === null) throw new Error("no deal was made");
const again = await api.POST("/api/v1/leads/{lead_id}/contact", { params: { path: { lead_id: first.id } } });
if (again.response.status !== 409 || again.error === undefined || !("allowed" in again.error)) throw new Error("no conflict");
expect(again.error.allowed?.includes("reopen") ?? false, "the problem names what is allowed");

const won = told(
  await api.POST("/api/v1/opportunities/{opportunity_id}/win", {
    params: { path: { opportunity_id: deal } },
    body: { actual_value: { amount: "900.00", currency: "EUR" } },
  }),
);
expect(won.status === "won", `won, not ${won.status}`);
console.log(`won ${won.number}`);
