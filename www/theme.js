/* Sets the remembered theme before the first paint; a plain script, so that nothing flashes. */
(function () {
  try {
    const theme = localStorage.getItem('theme');
    if (theme === 'light' || theme === 'dark')
      document.documentElement.dataset.theme = theme;
  } catch {
    /* Storage is switched off: the system decides. */
  }
})();
