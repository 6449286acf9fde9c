from urllib.parse import quote
from tests.airflow.page.test_browser import address
from tests.airflow.page.serving import browse, picture
import re
def test_link(address, run_dag, crm, lab_connection):
    from airflow.sdk import DAG
    from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator
    with DAG("linked") as dag:
        MailvetVerifyOperator(task_id="verify", conn_id="crm", table="contacts", depth="offline", outlets=[])
    done = run_dag(dag)
    base=f"{address}/dags/linked/runs/{quote(done.run.run_id, safe='')}/tasks/verify"
    for name, u in (("log",""),("details","/details")):
        picture(base+u, __import__("pathlib").Path(f"/tmp/af_report/link_{name}.png"), (1440,1000))
        dom=browse(base+u,"--dump-dom")
        print("DOM",name, [dom[m.start()-200:m.start()+100] for m in re.finditer("Verification report", dom)])
        print("DOMX", name, [dom[max(0,m.start()-100):m.start()+60] for m in re.finditer("E-mail verification", dom)][:3])
    assert 0
