import { mount } from "svelte";

import "./base.css";
import App from "./frame/App.svelte";

mount(App, { target: document.getElementById("app")! });
