// The view follows an answer that grows, until a person scrolls up; at the end it follows again.
import { find } from "./dom.js";

const NEAR = 48; // pixels

// `jumped`: called when the button has brought the view to the end.
export function follower(scroller, jumped) {
  const button = find("to-end");
  let following = true;
  let lastTop = 0;

  // Looks whether somebody has scrolled; also before something is drawn, as the browser tells of it later.
  function look() {
    const below = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    if (below < 4) following = true;
    else if (scroller.scrollTop < lastTop) following = false;
    else if (scroller.scrollTop > lastTop && below < NEAR) following = true;
    lastTop = scroller.scrollTop;
    button.hidden = below < NEAR;
  }
  function toEnd() {
    following = true;
    scroller.scrollTop = scroller.scrollHeight;
    lastTop = scroller.scrollTop; // or who scrolls up before the browser tells of this one would not be seen
  }
  scroller.addEventListener("scroll", look);
  button.addEventListener("click", () => {
    toEnd();
    jumped();
  });
  return {
    toEnd,
    // Draws, and stays at the end if the view was there.
    during(draw) {
      look();
      draw();
      if (following) toEnd();
    },
  };
}
