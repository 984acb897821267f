import os, sys, time
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]="true"
import pytest
from playwright.sync_api import sync_playwright, expect
from django.db import connection
from tests.browser.conftest import ARGUMENTS, session_cookie
from tests import factories
from tests.reviews import desk
from tests.reviews.desk import YES, NO
from core import clock
from projects.models import Role
from reviews.models import *
from reviews.services import intake, rules, rubrics
OUT=open("/tmp/hq/said.txt","w",buffering=1)
def say(*a): print(*a, file=OUT)

def test_fast(db):
    project = factories.a_project("Big"); q = desk.a_queue(project)
    with connection.cursor() as c:
        c.execute("""insert into outputs_output (project_id, external_id, body_hash, model, provider, status, environment, trace_id, span_id, parent_span_id, session_id, end_user, tags, received_on, body_bytes)
          select %s, 'o'||g, '\\x00', case when g%%2=0 then 'a' else 'b' end, '', 0, '', '', '', '', '', '', '{}', current_date, 0 from generate_series(1,100000) g""", [project.pk])
        c.execute("analyze outputs_output")
    a = intake.ask(queue=q, given={"model":"a"}, by=factories.an_actor(project), now=clock.now())[0]
    t=time.time(); n=0; worst=0
    while True:
        s=time.time(); more=intake.take_block(intake_id=a.pk, now=clock.now()); worst=max(worst,time.time()-s); n+=1
        if not more: break
    a.refresh_from_db()
    say("FAST", a.n_seen, a.n_added, n, "blocks", round(time.time()-t,2), "s; worst block", round(worst,3))
    t=time.time()
    from reviews import queries
    with desk.statements() as found: queries.queue_page(project.pk, q.name, reviewer="x")
    say("PAGE", len(found), round(time.time()-t,3)); t=time.time()
    with desk.statements() as found: queries.queue_rows(project.pk)
    say("LIST", len(found), round(time.time()-t,3))

def test_js(live_server, transactional_db):
    project = factories.a_project("Support assistant")
    eng = factories.a_member(project, Role.ENGINEER, "ivo@example.org")
    lead = factories.a_member(project, Role.REVIEWER, "mara@example.org")
    factories.a_prompt(project)
    q = desk.a_queue(project, overlap=2, adjudicators=[lead.email])
    desk.filled(q, "One?", prompt=project.prompts.get())
    for a in (YES, NO): desk.reviewed(q, desk.a_reviewer(project), a)
    s=project.slug
    with sync_playwright() as p:
        b = p.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        def page(user, **o):
            c = b.new_context(viewport={"width":1280,"height":860}, base_url=live_server.url, **o); c.add_cookies([session_cookie(user, live_server.url)]); pg=c.new_page()
            pg.on("console", lambda m: say("LOG", m.text) if m.type=="error" else None); return pg
        pg = page(eng)
        pg.goto(f"/{s}/rubrics/+new/")
        pg.fill("#name","fresh")
        pg.fill("#q0-text","Is it any good, really?")
        expect(pg.locator("#preview")).to_contain_text("any good", timeout=20000); say("PREVIEW ok")
        pg.select_option("#q0-kind","choice"); pg.wait_for_timeout(200)
        say("OPTIONS visible", pg.is_visible("#q0-options"), "range", pg.is_visible("#q0-low"))
        pg.fill("#q0-options","good\nbad"); pg.fill("#q0-values","1\n0")
        pg.fill("#q1-show_is","bad")
        pg.click("text=Add a question"); expect(pg.locator(".question-desk")).to_have_count(3, timeout=20000)
        say("ADDED focus", pg.evaluate("document.activeElement.id"), pg.url)
        pg.fill("#q2-text","Why?"); pg.select_option("#q2-kind","text")
        pg.locator("#q2-key").press("Enter"); pg.wait_for_load_state(); pg.wait_for_timeout(1500)
        say("ENTER keeps", pg.input_value("#q2-text"), Rubric.objects.filter(name="fresh").count())
        pg.click("text=Save the rubric"); expect(pg.locator("h1")).to_contain_text("fresh", timeout=20000)
        say("SAVED", pg.url, Rubric.objects.filter(name="fresh").values_list("questions", flat=True).first())
        a = intake.ask(queue=q, given={}, by=factories.an_actor(project), now=clock.now())[0]
        pg.goto(f"/{s}/queues/{q.name}/")
        say("RUNNING", pg.locator("#intakes >> text=Running").count())
        while intake.take_block(intake_id=a.pk, now=clock.now()): pass
        expect(pg.locator("#intakes")).to_contain_text("Done", timeout=20000); say("POLLED done")
        pg.screenshot(path="/tmp/hq/polled.png")
        pg = page(lead, java_script_enabled=False)
        pg.goto(f"/{s}/queues/{q.name}/adjudicate/")
        pg.get_by_label("no", exact=True).check(); pg.get_by_label("No correction").check()
        pg.fill("#rationale","Because."); pg.click("text=Settle and next"); expect(pg.locator("h1")).to_contain_text("Nothing is disputed", timeout=20000)
        say("SETTLED", Verdict.objects.values_list("answers","rationale"), pg.inner_text("h1"))
        pg = page(eng, java_script_enabled=False)
        pg.goto(f"/{s}/rubrics/fresh/edit/"); pg.locator("button[value=remove-2]").click(); expect(pg.locator(".question-desk")).to_have_count(2, timeout=20000); say("REMOVED ok")
        pg = page(eng); pg.set_viewport_size({"width":390,"height":844}); pg.goto(f"/{s}/queues/"); say("OVER", pg.evaluate("document.documentElement.scrollWidth - innerWidth"))
        pg.screenshot(path="/tmp/hq/ql390.png")
        b.close()
