"""A person without a mouse: what Tab cannot reach does not exist for them."""

from playwright.sync_api import Locator, Page

FARTHEST = 250
IS_FOCUSED = "element => element === document.activeElement"
# Radio buttons of one name are one stop of Tab; the arrows choose among them.
IS_IN_FOCUSED_GROUP = """element => {
    const at = document.activeElement;
    return element === at || (at.type === "radio" && at.name === element.name && at.form === element.form);
}"""


class Keyboard:
    """Works one page by Tab, arrows, Space, Enter and typing alone."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, control: Locator) -> None:
        """Reach a link or button and press Enter."""
        self.reach(control)
        self.page.keyboard.press("Enter")

    def type(self, field: Locator, text: str) -> None:
        """Reach a text field and replace what stands in it."""
        self.reach(field)
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(text)

    def tick(self, box: Locator) -> None:
        """Reach a check box and switch it on."""
        self.reach(box)
        if not box.is_checked():
            self.page.keyboard.press("Space")

    def pick(self, radio: Locator) -> None:
        """Reach the group of a radio button and choose it by the arrows."""
        self._tab_until(radio, IS_IN_FOCUSED_GROUP)
        if radio.evaluate(IS_FOCUSED):
            self.page.keyboard.press("Space")
        for _ in range(FARTHEST):
            if radio.is_checked():
                return
            self.page.keyboard.press("ArrowRight")
        raise AssertionError(f"the arrows do not reach {radio}")

    def choose(self, select: Locator, words: str) -> None:
        """Reach a drop-down list and go to the option with these words."""
        self.reach(select)
        for _ in range(FARTHEST):
            chosen = str(select.evaluate("element => element.selectedOptions[0]?.text ?? ''"))
            if words in chosen:
                return
            self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"no option of {select} says {words!r}")

    def open(self, summary: Locator) -> None:
        """Reach what can be unfolded, and unfold it."""
        self.press(summary)

    def reach(self, control: Locator) -> None:
        """Tab until the control has the focus."""
        self._tab_until(control, IS_FOCUSED)

    def _tab_until(self, control: Locator, is_there: str) -> None:
        control.wait_for(state="attached")
        for _ in range(FARTHEST):
            if control.evaluate(is_there):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {control}")
