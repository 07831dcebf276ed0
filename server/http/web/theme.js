// Sets the colours that were chosen last before anything is drawn. A plain script, so that it runs first.
try {
  const theme = localStorage.getItem('ssmd.playground.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's choice holds.
}
