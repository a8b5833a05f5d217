// Login by the form, or at once by #token= in the address that `serve` prints.
const form = document.getElementById("login");
async function login(token) {
  const answer = await fetch("login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token }),
  });
  if (answer.ok) location.replace(location.pathname);
  else document.getElementById("said").textContent = "That is not the token.";
}
if (form) {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    login(document.getElementById("token").value);
  });
  if (given) login(given);
} else if (location.hash) {
  history.replaceState(null, "", location.pathname);
}
