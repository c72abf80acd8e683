/** Before anything is painted: the theme that was chosen here, else the system's. No module, as those come too late. */
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => (document.documentElement.dataset.theme = localStorage.getItem("asgi_push_theme") ?? (dark.matches ? "dark" : "light"));
  dark.addEventListener("change", apply);
  apply();
})();
