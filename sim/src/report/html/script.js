/* Everything is readable and can be chosen without this; it only adds the slider. */
"use strict";
{
  const slider = document.getElementById("opacity");
  const stack = document.querySelector(".stack");
  slider.parentElement.hidden = false;
  slider.addEventListener("input", () => {
    stack.style.setProperty("--strength", slider.value / 100);
  });
}
